// The command line of the server, over a file.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <sstream>
#include <vector>

#include "apps/exit_code.h"
#include "apps/serve_options.h"
#include "apps/serve_settings.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/temp_dir_for_tests.h"

namespace plumb {
namespace {

struct Parsed {
  ServeOptions options;
  std::string error;  // empty: none
};

// As the program does it, with another command beside.
Parsed parse(std::vector<std::string> words) {
  Parsed out;
  CLI::App app("test", "plumb");
  app.require_subcommand(1);
  app.add_subcommand("other", "");
  add_serve_options(*app.add_subcommand("serve", ""), out.options);
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    out.error = error.what();
    if (out.error.empty()) out.error = error.get_name();
  }
  return out;
}

Parsed serve(std::vector<std::string> words) {
  words.insert(words.begin(), "serve");
  return parse(std::move(words));
}

std::string write(const std::filesystem::path& path, std::string_view text) {
  EXPECT_TRUE(write_file_atomically(path, text));
  return path.string();
}

// PLUMB_CONFIG, gone again afterwards.
class Variable {
 public:
  explicit Variable(const std::string& value) { ::setenv("PLUMB_CONFIG", value.c_str(), 1); }
  ~Variable() { ::unsetenv("PLUMB_CONFIG"); }
};

TEST(ServeOptions, WithoutWordsTheDefaultsHold) {
  const Parsed parsed = serve({});
  EXPECT_EQ(parsed.error, "");
  EXPECT_EQ(print_config(parsed.options), print_config(ServeOptions()));
  EXPECT_FALSE(parsed.options.print_config);
}

TEST(ServeOptions, EveryFlagReachesItsSetting) {
  TempDir dir;
  const std::string key = write(dir / "key", "plumb-secret-0123456789\n");
  const Parsed parsed = serve({"--name",
                               "flash",
                               "--host",
                               "::",
                               "--port",
                               "9000",
                               "--max-connections",
                               "12",
                               "--drain",
                               "2.5",
                               "--cors-origin",
                               "https://a.example",
                               "--cors-origin",
                               "*",
                               "--record",
                               "rec",
                               "--tls-certificate",
                               "c.pem",
                               "--tls-key",
                               "k.pem",
                               "--parallel",
                               "3",
                               "--queue",
                               "4",
                               "--request-timeout",
                               "60",
                               "--max-body",
                               "2MiB",
                               "--max-reasoning",
                               "100",
                               "--max-repeated",
                               "0",
                               "--max-call",
                               "200",
                               "--log",
                               "x.log",
                               "--log-level",
                               "errors",
                               "--log-content",
                               "--alias",
                               "a=flash",
                               "--alias",
                               "*=flash",
                               "--key-file",
                               key,
                               "--print-config",
                               "--model",
                               "m",
                               "--draft",
                               "1"});
  ASSERT_EQ(parsed.error, "");
  const ServeOptions& options = parsed.options;
  EXPECT_EQ(options.name, "flash");
  EXPECT_EQ(options.http.address, "::");
  EXPECT_EQ(options.http.port, 9000);
  EXPECT_EQ(options.http.max_connections, 12);
  EXPECT_EQ(options.drain, std::chrono::milliseconds(2500));
  EXPECT_EQ(options.cors_origins, (std::vector<std::string>{"https://a.example", "*"}));
  EXPECT_EQ(options.record, "rec");
  EXPECT_EQ(options.http.tls_certificate, "c.pem");
  EXPECT_EQ(options.http.tls_key, "k.pem");
  EXPECT_EQ(options.stack.sequences, 3);
  EXPECT_EQ(options.max_queue, 4);
  EXPECT_EQ(options.guards.max_reasoning, 100);
  EXPECT_EQ(options.guards.max_repeated, 0);
  EXPECT_EQ(options.guards.max_call, 200);
  EXPECT_EQ(options.request_timeout, std::chrono::milliseconds(60000));
  EXPECT_EQ(options.max_body, std::uint64_t{2} << 20);
  EXPECT_EQ(options.log.path, "x.log");
  EXPECT_EQ(options.log.level, LogLevel::kErrors);
  EXPECT_TRUE(options.log.content);
  EXPECT_EQ(options.aliases, (std::map<std::string, std::string>{{"a", "flash"}, {"*", "flash"}}));
  ASSERT_EQ(options.keys.size(), 1u);
  EXPECT_EQ(options.keys[0].name, "command-line-1");
  EXPECT_EQ(options.keys[0].sha256, sha256_hex("plumb-secret-0123456789"));
  EXPECT_EQ(options.keys[0].scopes, (Scopes{Scope::kInference, Scope::kMetrics}));
  EXPECT_TRUE(options.print_config);
  EXPECT_EQ(options.stack.model, "m");
  EXPECT_EQ(options.stack.draft, 1);
  EXPECT_TRUE(check(options));
  // Each setting that has a flag was given above.
  ServeOptions given = options, defaults;
  const auto set = serve_settings(given), unset = serve_settings(defaults);
  for (std::size_t i = 0; i < set.size(); ++i) {
    if (set[i].flag.empty()) continue;
    EXPECT_NE(set[i].get(), unset[i].get()) << set[i].flag;
  }
}

// Wherever --config stands.
TEST(ServeOptions, TheCommandLineOverridesTheFile) {
  TempDir dir;
  const std::string file = write(dir / "plumb.toml",
                                 "[model]\npath = \"file\"\ndraft = 2\n"
                                 "[server]\nport = 1\naddress = \"file\"\n"
                                 "cors_origins = [\"https://file.example\"]\n"
                                 "[log]\npath = \"file.log\"\n"
                                 "[aliases]\na = \"file\"\nb = \"file\"\n");
  const std::vector<std::string> config = {"--config", file};
  const std::vector<std::string> flags = {"--port",        "2", "--model", "line",  "--log", "",
                                          "--cors-origin", "*", "--alias", "a=line"};
  for (const bool first : {true, false}) {
    std::vector<std::string> words = first ? config : flags;
    const auto& rest = first ? flags : config;
    words.insert(words.end(), rest.begin(), rest.end());
    const Parsed parsed = serve(words);
    ASSERT_EQ(parsed.error, "");
    EXPECT_EQ(parsed.options.http.port, 2);
    EXPECT_EQ(parsed.options.http.address, "file");
    EXPECT_EQ(parsed.options.stack.model, "line");
    EXPECT_EQ(parsed.options.stack.draft, 2);
    EXPECT_EQ(parsed.options.log.path, "");
    EXPECT_EQ(parsed.options.cors_origins, (std::vector<std::string>{"*"}));
    EXPECT_EQ(parsed.options.aliases,
              (std::map<std::string, std::string>{{"a", "line"}, {"b", "file"}}));
  }
}

TEST(ServeOptions, AVariableNamesTheFileUnlessTheCommandLineDoes) {
  TempDir dir;
  const Variable variable(write(dir / "a.toml", "[server]\nport = 1\n[limits]\nqueue = 9\n"));
  EXPECT_EQ(serve({}).options.http.port, 1);
  EXPECT_EQ(serve({"--port", "3"}).options.http.port, 3);
  const Parsed parsed = serve({"--config", write(dir / "b.toml", "[server]\nport = 2\n")});
  EXPECT_EQ(parsed.options.http.port, 2);
  EXPECT_EQ(parsed.options.max_queue, 256);
}

TEST(ServeOptions, TheVariableIsOfNoConcernToOtherCommands) {
  const Variable variable("/nowhere/plumb.toml");
  EXPECT_EQ(parse({"other"}).error, "");
  EXPECT_NE(serve({}).error.find("/nowhere/plumb.toml"), std::string::npos);
}

TEST(ServeOptions, WhatIsWrongIsSaid) {
  TempDir dir;
  const std::string bad = write(dir / "bad.toml", "[server]\nprot = 1\n");
  const std::string shorty = write(dir / "short", "hunter2\n");
  struct Case {
    std::vector<std::string> words;
    std::string says;
  };
  const Case cases[] = {
      {{"--port", "http"}, "http is not an integer from 0 to 65535."},
      {{"--port", "70000"}, "70000 is not an integer"},
      {{"--port", "8.5"}, "8.5 is not an integer"},
      {{"--max-body", "big"}, "big is not a size from 1KiB to 4GiB"},
      {{"--drain", "soon"}, "soon is not seconds from 0"},
      {{"--log-level", "all"}, "all is not \"requests\" or \"errors\"."},
      {{"--alias", "x"}, "x is not NAME=MODEL."},
      {{"--alias", "=x"}, "=x is not NAME=MODEL."},
      {{"--alias", "x="}, "x= is not NAME=MODEL."},
      {{"--config", "/nowhere.toml"}, "Could not open /nowhere.toml"},
      {{"--config", bad}, str(bad, ", line 2: [server] has no setting \"prot\"")},
      {{"--key-file", "/nowhere.key"}, "Could not open /nowhere.key"},
      {{"--key-file", shorty}, "\"command-line-1\" has 7 characters"},
      {{"--prot", "1"}, "--prot"},
  };
  for (const Case& c : cases) {
    const Parsed parsed = serve(c.words);
    EXPECT_NE(parsed.error.find(c.says), std::string::npos) << parsed.error << "\n" << c.says;
    EXPECT_EQ(parsed.error.find("hunter2"), std::string::npos);
  }
}

TEST(ServeOptions, KeysOfTheCommandLineComeBesideThoseOfTheFile) {
  TempDir dir;
  const std::string file =
      write(dir / "plumb.toml", "[[keys]]\nname = \"a\"\nkey = \"plumb-secret-0123456789\"\n");
  const std::string b = write(dir / "b", "plumb-other-0123456789");
  const std::string c = write(dir / "c", "plumb-third-0123456789\r\n");
  const Parsed parsed = serve({"--key-file", b, "--key-file", c, "--config", file});
  ASSERT_EQ(parsed.error, "");
  ASSERT_EQ(parsed.options.keys.size(), 3u);
  EXPECT_EQ(parsed.options.keys[1].name, "command-line-1");
  EXPECT_EQ(parsed.options.keys[2].sha256, sha256_hex("plumb-third-0123456789"));
  EXPECT_TRUE(check(parsed.options));
}

std::string example(const std::string& name) {
  const auto text = read_file(std::string(PLUMB_SOURCE_DIR) + "/examples/" + name);
  EXPECT_TRUE(text) << text.error().message;
  return *text;
}

// What follows `name` on the one line of a file that begins with it.
std::string line_after(const std::string& text, const std::string& name) {
  std::string found;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(name)) continue;
    EXPECT_EQ(found, "") << name << " is there twice";
    found = line.substr(name.size());
  }
  EXPECT_NE(found, "") << name;
  return found;
}

TEST(ServeOptions, TheExampleOfAUnitStartsAndStopsTheServer) {
  const std::string unit = example("plumb.service");
  std::istringstream in(line_after(unit, "ExecStart="));
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  ASSERT_EQ(words, (std::vector<std::string>{"/usr/local/bin/plumb", "serve", "--config",
                                             "/etc/plumb/plumb.toml"}));
  words.back() = std::string(PLUMB_SOURCE_DIR) + "/examples/plumb.toml";
  const Parsed parsed = parse({words.begin() + 1, words.end()});
  EXPECT_EQ(parsed.error, "");
  const std::chrono::seconds patience(std::stoi(line_after(unit, "TimeoutStopSec=")));
  EXPECT_GT(patience, parsed.options.drain);
  EXPECT_EQ(line_after(unit, "RestartPreventExitStatus="),
            str(int{kExitInvalid}, " ", int{kExitBadModel}, " ", int{kExitDoesNotFit}, " ",
                int{kExitUnsupported}));
}

TEST(ServeOptions, TheExampleOfAnImageStartsTheServer) {
  TempDir dir;
  const auto command = parse_json(line_after(example("Containerfile"), "CMD "), "CMD");
  ASSERT_TRUE(command) << command.error().message;
  std::vector<std::string> words;
  for (const Json& word : command->items()) {
    const bool key = word.text() == "/run/secrets/plumb.key";
    words.push_back(key ? write(dir / "key", "plumb-secret-0123456789\n") : word.text());
  }
  const Parsed parsed = parse(words);
  EXPECT_EQ(parsed.error, "");
  EXPECT_EQ(parsed.options.http.address, "0.0.0.0");
  EXPECT_EQ(parsed.options.keys.size(), 1u);
  EXPECT_EQ(line_after(example("Containerfile"), "EXPOSE "), str(parsed.options.http.port));
}

}  // namespace
}  // namespace plumb
