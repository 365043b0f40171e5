// The file that configures the server.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <sstream>
#include <utility>

#include "apps/serve_options.h"
#include "apps/serve_settings.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/strings.h"

namespace plumb {
namespace {

using std::chrono::milliseconds;

constexpr const char* kSecret = "plumb-secret-0123456789";

// Files and variables that exist nowhere else.
SecretSource secrets_for_tests() {
  return {[](const std::string& path) -> Result<std::string> {
            if (path == "key.txt") return str(kSecret, "\n");
            return file_error("open", path, ENOENT);
          },
          [](const std::string& name) -> std::optional<std::string> {
            if (name == "PLUMB_KEY") return kSecret;
            return std::nullopt;
          }};
}

Result<ServeOptions> read(const std::string& text) {
  ServeOptions options;
  PLUMB_TRY_STATUS(read_config(text, "plumb.toml", options, secrets_for_tests()));
  return options;
}

// Every setting at another value than its default.
const char* const kEverything = R"(
[model]
path = "/models/flash"
name = "flash"
numerics = "vendor"
device = "cpu"
isa = "avx2"
threads = 12
memory = "24GiB"
context = "64k"
draft = 2

[server]
address = "0.0.0.0"
port = 0
io_threads = 3
worker_threads = 4
max_connections = 77
max_head = 8192
head_timeout_s = 1
body_timeout_s = 2.5
write_timeout_s = 3
idle_timeout_s = 4
keep_alive_s = 0.25
drain_s = 0
cors_origins = ["https://a.example", "*"]
record = "/var/lib/plumb/record"

[tls]
certificate = "cert.pem"
key = "key.pem"

[limits]
parallel = 5
queue = 6
request_timeout_s = 600
max_body = "1MiB"

[guards]
max_reasoning_tokens = 1000
max_repeated_tokens = 0
max_call_tokens = 5000

[log]
path = "plumb.log"
level = "errors"
content = true

[aliases]
gpt-4o = "flash"
"*" = "flash"

[[keys]]
name = "alice"
key = "plumb-secret-0123456789"
scopes = ["inference", "metrics"]
max_parallel = 2
requests_per_minute = 60
tokens_per_minute = 5000000000

[[keys]]
name = "ops"
sha256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
scopes = ["admin"]
)";

TEST(ServeConfig, AnEmptyFileChangesNothing) {
  const auto options = read("");
  ASSERT_TRUE(options);
  EXPECT_EQ(print_config(*options), print_config(ServeOptions()));
  EXPECT_EQ(options->stack.sequences, 16);
  EXPECT_EQ(options->max_queue, 256);
  EXPECT_EQ(options->max_body, std::uint64_t{64} << 20);
  EXPECT_TRUE(options->keys.empty());
}

TEST(ServeConfig, EverySettingIsRead) {
  auto options = read(kEverything);
  ASSERT_TRUE(options) << options.error().message;
  const StackOptions& stack = options->stack;
  EXPECT_EQ(stack.model, "/models/flash");
  EXPECT_EQ(options->name, "flash");
  EXPECT_EQ(stack.numerics, "vendor");
  EXPECT_EQ(stack.device, "cpu");
  EXPECT_EQ(stack.isa, "avx2");
  EXPECT_EQ(stack.threads, 12);
  EXPECT_EQ(stack.memory, std::uint64_t{24} << 30);
  EXPECT_EQ(stack.context, 65536);
  EXPECT_EQ(stack.draft, 2);
  const HttpServerOptions& http = options->http;
  EXPECT_EQ(http.address, "0.0.0.0");
  EXPECT_EQ(http.port, 0);
  EXPECT_EQ(http.io_threads, 3);
  EXPECT_EQ(http.worker_threads, 4);
  EXPECT_EQ(http.max_connections, 77);
  EXPECT_EQ(http.max_head, 8192u);
  EXPECT_EQ(http.head_timeout, milliseconds(1000));
  EXPECT_EQ(http.body_timeout, milliseconds(2500));
  EXPECT_EQ(http.write_timeout, milliseconds(3000));
  EXPECT_EQ(http.idle_timeout, milliseconds(4000));
  EXPECT_EQ(http.keep_alive, milliseconds(250));
  EXPECT_EQ(http.tls_certificate, "cert.pem");
  EXPECT_EQ(http.tls_key, "key.pem");
  EXPECT_EQ(options->drain, milliseconds(0));
  EXPECT_EQ(options->cors_origins, (std::vector<std::string>{"https://a.example", "*"}));
  EXPECT_EQ(options->record, "/var/lib/plumb/record");
  EXPECT_EQ(stack.sequences, 5);
  EXPECT_EQ(options->max_queue, 6);
  EXPECT_EQ(options->request_timeout, milliseconds(600000));
  EXPECT_EQ(options->max_body, std::uint64_t{1} << 20);
  EXPECT_EQ(options->log.path, "plumb.log");
  EXPECT_EQ(options->log.level, LogLevel::kErrors);
  EXPECT_TRUE(options->log.content);
  EXPECT_EQ(options->aliases,
            (std::map<std::string, std::string>{{"gpt-4o", "flash"}, {"*", "flash"}}));
  ASSERT_EQ(options->keys.size(), 2u);
  EXPECT_EQ(options->keys[0], (ApiKeyOptions{"alice",
                                             sha256_hex(kSecret),
                                             {Scope::kInference, Scope::kMetrics},
                                             {2, 60, 5'000'000'000}}));
  EXPECT_EQ(options->keys[1].scopes, Scopes{Scope::kAdmin});
  EXPECT_EQ(options->keys[1].limits, KeyLimits{});
  EXPECT_TRUE(check(*options));
  EXPECT_TRUE(check_aliases(*options, "flash"));
  // Nothing of the table was forgotten above.
  ServeOptions defaults;
  const auto set = serve_settings(*options), unset = serve_settings(defaults);
  for (std::size_t i = 0; i < set.size(); ++i) {
    EXPECT_NE(set[i].get(), unset[i].get()) << set[i].section << "." << set[i].key;
  }
}

TEST(ServeConfig, WhatIsPrintedReadsBackTheSame) {
  for (const char* text : {"", kEverything}) {
    const auto options = read(text);
    ASSERT_TRUE(options);
    const std::string printed = print_config(*options);
    const auto again = read(printed);
    ASSERT_TRUE(again) << again.error().message << "\n" << printed;
    EXPECT_EQ(print_config(*again), printed);
    EXPECT_EQ(again->keys, options->keys);
    EXPECT_EQ(again->aliases, options->aliases);
    ServeOptions left = *options, right = *again;
    const auto before = serve_settings(left), after = serve_settings(right);
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_EQ(before[i].get(), after[i].get()) << before[i].key;
    }
  }
}

TEST(ServeConfig, OddTextSurvivesBeingPrinted) {
  ServeOptions options;
  options.stack.model = "~41 \\u007e41 a\"b\\c\td\x01\x7f \xc3\xa4 \n=[]#";
  options.aliases = {{"we\"ird\n", "m"}, {"a.b", "m"}, {"", "m"}};
  options.aliases.erase("");
  options.cors_origins = {"\"", ","};
  const auto again = read(print_config(options));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->stack.model, options.stack.model);
  EXPECT_EQ(again->aliases, options.aliases);
  EXPECT_EQ(again->cors_origins, options.cors_origins);
}

TEST(ServeConfig, NoKeyIsEverPrinted) {
  const auto options = read(kEverything);
  ASSERT_TRUE(options);
  const std::string printed = print_config(*options);
  EXPECT_EQ(printed.find(kSecret), std::string::npos);
  EXPECT_NE(printed.find(sha256_hex(kSecret)), std::string::npos);
}

TEST(ServeConfig, ADigestStandsForEverySetting) {
  EXPECT_EQ(config_digest(ServeOptions()), config_digest(*read("")));
  EXPECT_EQ(config_digest(ServeOptions()).size(), 64u);
  auto everything = read(kEverything);
  ASSERT_TRUE(everything);
  const auto values = serve_settings(*everything);
  const std::string before = config_digest(ServeOptions());
  for (std::size_t i = 0; i < values.size(); ++i) {
    ServeOptions options;
    ASSERT_TRUE(serve_settings(options)[i].set(values[i].get())) << values[i].key;
    EXPECT_NE(config_digest(options), before) << values[i].key;
  }
  ServeOptions options;
  options.aliases["a"] = "b";
  EXPECT_NE(config_digest(options), before);
  options = ServeOptions();
  options.keys = everything->keys;
  EXPECT_NE(config_digest(options), before);
}

TEST(ServeConfig, KeysComeFromFilesAndVariablesToo) {
  for (const char* source :
       {"key = \"plumb-secret-0123456789\"", "key_file = \"key.txt\"", "key_env = \"PLUMB_KEY\""}) {
    const auto options = read(str("[[keys]]\nname = \"a\"\n", source));
    ASSERT_TRUE(options) << options.error().message;
    ASSERT_EQ(options->keys.size(), 1u);
    EXPECT_EQ(options->keys[0].sha256, sha256_hex(kSecret)) << source;
    EXPECT_EQ(options->keys[0].scopes, Scopes{Scope::kInference});
  }
}

TEST(ServeConfig, WhatIsWrongIsNamedWithItsLine) {
  struct Case {
    const char* text;
    const char* says;
  };
  const Case cases[] = {
      {"[server]\n\nprot = 1",
       "plumb.toml, line 3: [server] has no setting \"prot\"; it has "
       "address, port, io_threads,"},
      {"[sever]\nport = 1", "line 1: \"sever\" is not known; a file has [model], [server], "},
      {"port = 1", "line 1: \"port\" is not known"},
      {"server = 1", "line 1: \"server\" is not a table"},
      {"[server]\nport = \"http\"",
       "line 2: port in [server] is \"http\", expected an integer "
       "from 0 to 65535."},
      {"[server]\nport = 65536", "port in [server] is 65536, expected"},
      {"[server]\nport = -1", "port in [server] is -1, expected"},
      {"[server]\nport = 80.0", "port in [server] is 80"},
      {"[server]\nport = true", "port in [server] is true, expected"},
      {"[server]\nport = 2026-01-01", "is a date or time, expected"},
      {"[server]\nport = {}", "is a table, expected"},
      {"[server]\naddress = 1", "address in [server] is 1, expected a string."},
      {"[server]\naddress = \"a\\u0000b\"", "expected a string."},
      {"[server]\ndrain_s = -1", "expected seconds from 0 to 2592000."},
      {"[server]\ndrain_s = nan", "expected seconds"},
      {"[server]\nidle_timeout_s = 0", "expected seconds from 0.001"},
      {"[server]\ncors_origins = \"a\"", "expected an array of strings."},
      {"[server]\ncors_origins = [1]", "is an array, expected an array of strings."},
      {"[model]\nnumerics = \"slow\"",
       "numerics in [model] is \"slow\", expected \"auto\", "
       "\"plain\", \"vendor\" or \"fast\"."},
      {"[model]\nmemory = \"many\"", "expected a size from 0 to 1024TiB"},
      {"[model]\nmemory = -1", "expected a size"},
      {"[limits]\nparallel = 0", "expected an integer from 1 to 256."},
      {"[limits]\nmax_body = 10", "expected a size from 1KiB to 4GiB"},
      {"[log]\nlevel = \"all\"", "level in [log] is \"all\", expected \"requests\" or \"errors\"."},
      {"[log]\ncontent = 1", "content in [log] is 1, expected true or false."},
      {"aliases = 1", "aliases is 1, expected a table."},
      {"[aliases]\na = 1", "line 2: The alias \"a\" is 1, expected the name of a model."},
      {"[aliases]\na = \"\"", "The alias \"a\" is \"\""},
      {"[aliases]\n\"\" = \"m\"", "The alias \"\" is"},
      {"keys = 1", "keys is 1, expected tables [[keys]]."},
      {"keys = [1]", "keys holds something that is not a table."},
      {"[keys]\nname = \"a\"", "keys is a table, expected tables [[keys]]."},
      {"[[keys]]\nkey = \"0123456789abcdef\"", "An entry of [[keys]] has no name."},
      {"[[keys]]\nname = 1", "line 2: name in [[keys]] is not a string with text in it."},
      {"[[keys]]\nname = \"a\"\ntoken = \"x\"",
       "line 3: [[keys]] has no setting \"token\"; it "
       "has key, sha256,"},
      {"[[keys]]\nname = \"a\"", "The key \"a\" has none of key, sha256, key_file and key_env."},
      {"[[keys]]\nname = \"a\"\nkey = \"0123456789abcdef\"\nkey_env = \"X\"",
       "The key \"a\" has both key and key_env, expected one of them."},
      {"[[keys]]\nname = \"a\"\nkey_file = \"nowhere\"",
       "line 3: The key \"a\": Could not open "
       "nowhere"},
      {"[[keys]]\nname = \"a\"\nkey_env = \"NOWHERE\"",
       "line 3: The key \"a\" is to come from the "
       "variable NOWHERE, which is not set."},
      {"[[keys]]\nname = \"a\"\nkey = \"short\"", "The API key \"a\" has 5 characters"},
      {"[[keys]]\nname = \"a\"\nkey_env = \"PLUMB_KEY\"\nscopes = [\"root\"]",
       "line 4: scopes of the key \"a\" is not an array of"},
      {"[[keys]]\nname = \"a\"\nkey_env = \"PLUMB_KEY\"\nscopes = []", "scopes of the key \"a\""},
      {"[[keys]]\nname = \"a\"\nkey_env = \"PLUMB_KEY\"\nscopes = \"admin\"", "scopes of the key"},
      {"[[keys]]\nname = \"a\"\nkey_env = \"PLUMB_KEY\"\nmax_parallel = -1",
       "max_parallel of the key \"a\" is -1, expected an integer from 0 to 2147483647."},
      {"[[keys]]\nname = \"a\"\nkey_env = \"PLUMB_KEY\"\nrequests_per_minute = 3000000000",
       "requests_per_minute of the key"},
      {"[[keys]]\nname = \"a\"\nkey_env = \"PLUMB_KEY\"\ntokens_per_minute = 1.5",
       "tokens_per_minute of the key \"a\" is 1.5"},
  };
  for (const Case& c : cases) {
    const auto options = read(c.text);
    ASSERT_FALSE(options) << c.text;
    EXPECT_EQ(options.error().code, Code::kInvalid) << c.text;
    const std::string& message = options.error().message;
    EXPECT_NE(message.find(c.says), std::string::npos) << message << "\nexpected: " << c.says;
    EXPECT_EQ(message.back(), '.') << message;
  }
}

TEST(ServeConfig, AnErrorNeverShowsAKey) {
  for (const char* text : {"[[keys]]\nname = \"a\"\nkey = \"hunter2\"",
                           "[[keys]]\nname = \"a\"\nkey = \"hunter2 hunter2 hunter2\"",
                           "[[keys]]\nname = \"a\"\nkey = [\"hunter2\"]"}) {
    const auto options = read(text);
    ASSERT_FALSE(options) << text;
    EXPECT_EQ(options.error().message.find("hunter2"), std::string::npos)
        << options.error().message;
  }
}

TEST(ServeConfig, WhatIsNotTomlIsCorruptAtItsLine) {
  for (const char* text : {"[server]\nport =", "[server]\nport = 1\nport = 2", "[server\n\n",
                           "[server]\n\xff = 1", "[server]\nport = 1\n[server]\n"}) {
    const auto options = read(text);
    ASSERT_FALSE(options) << text;
    EXPECT_EQ(options.error().code, Code::kCorrupt) << options.error().message;
    EXPECT_TRUE(std::regex_search(options.error().message,
                                  std::regex("^plumb.toml, line [1-3]: this is not TOML: ")))
        << options.error().message;
  }
}

// See to_ascii_toml(): some of these are characters that toml++ cannot judge.
TEST(ServeConfig, AnyCharacterMayStandInStringsAndComments) {
  for (const std::string character :
       {"~", "~41", "~~", "\xc2\xa1", "\xce\xab", "\xe2\xbd\xbf", "\xe3\x80\x81", "\xef\xb9\xbf",
        "\xef\xbb\xbe", "\xef\xbb\xbf", "\xf0\x9f\x98\x80"}) {
    const auto options = read(str("# ", character, "\n[aliases] # ", character, "\n\"", character,
                                  "\" = '", character, character, "'\n[model]\npath = \"\"\"\\\n  ",
                                  character, "\\u00e4\"\"\"\n"));
    ASSERT_TRUE(options) << options.error().message;
    EXPECT_EQ(options->aliases.at(character), character + character);
    EXPECT_EQ(options->stack.model, character + "\xc3\xa4");
    for (const std::string text : {"x = @", "@ = 1", "[@]", "[server] @", "[log]\nlevel = 1'@"}) {
      std::string wrong = text;
      wrong.replace(wrong.find('@'), 1, character);
      const auto refused = read(wrong);
      ASSERT_FALSE(refused) << wrong;
      EXPECT_EQ(refused.error().code, Code::kCorrupt) << wrong;
    }
  }
  EXPECT_TRUE(read("\xef\xbb\xbf[server]\nport = 1"));
  const auto unknown = read("[server]\n\"p\xc3\xb6rt~\" = 1");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("no setting \"p\xc3\xb6rt~\""), std::string::npos);
}

TEST(ServeConfig, WhatCouldBeMistakenIsRefused) {
  struct Case {
    const char* text;
    const char* says;
  };
  const Case cases[] = {
      {"\n\nx = '\xff'", "plumb.toml, line 3: this is not TOML: it is not UTF-8."},
      {"\xc3", "line 1: this is not TOML: it is not UTF-8."},
      {"[model]\npath = \"\\u007E41\"", "line 2: this is not TOML: write ~ without an escape."},
      {"[model]\npath = \"\\U0000007e\"", "write ~ without an escape."},
  };
  for (const Case& c : cases) {
    const auto options = read(c.text);
    ASSERT_FALSE(options) << c.text;
    EXPECT_EQ(options.error().code, Code::kCorrupt);
    EXPECT_NE(options.error().message.find(c.says), std::string::npos) << options.error().message;
  }
  EXPECT_TRUE(read("[model]\npath = \"\\u007D\\u007\x46\\U0000007d\""));
}

TEST(ServeConfig, AFileWithAnErrorChangesNothing) {
  ServeOptions options;
  options.http.port = 1234;
  const std::string before = print_config(options);
  EXPECT_FALSE(read_config("[server]\nport = 80\nprot = 80", "x", options, secrets_for_tests()));
  EXPECT_EQ(print_config(options), before);
}

TEST(ServeConfig, ChecksWhatOneSettingCannotShow) {
  struct Case {
    const char* text;
    const char* says;  // empty: nothing is wrong
  };
  const Case cases[] = {
      {"", ""},
      {"[tls]\ncertificate = \"a\"\nkey = \"b\"", ""},
      {"[tls]\ncertificate = \"a\"", "key in [tls] is empty"},
      {"[tls]\nkey = \"a\"", "certificate in [tls] is empty"},
      {"[server]\ncors_origins = [\"https://a.example:8443\", \"*\"]", ""},
      {"[server]\ncors_origins = [\"https://a.example/\"]", "\"https://a.example/\""},
      {"[server]\ncors_origins = [\"a.example\"]", "\"a.example\""},
      {"[server]\ncors_origins = [\"https://\"]", "\"https://\""},
      {"[[keys]]\nname = \"a\"\nsha256 = \"12\"", "\"a\" has a sha256 of 2 characters"},
      {"[[keys]]\nname = \"a\"\nkey_env = \"PLUMB_KEY\"\n"
       "[[keys]]\nname = \"b\"\nkey_env = \"PLUMB_KEY\"",
       "\"a\" and \"b\" are the same key"},
  };
  for (const Case& c : cases) {
    const auto options = read(c.text);
    ASSERT_TRUE(options) << options.error().message;
    const Status status = check(*options);
    EXPECT_EQ(status.has_value(), *c.says == '\0') << c.text;
    if (!status) {
      EXPECT_NE(status.error().message.find(c.says), std::string::npos) << status.error().message;
    }
  }
  const auto options = read("[aliases]\ngpt-4o = \"minow\"");
  ASSERT_TRUE(options);
  EXPECT_TRUE(check_aliases(*options, "minow"));
  const Status status = check_aliases(*options, "minnow");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message,
            "The alias \"gpt-4o\" stands for \"minow\", but the model here is \"minnow\".");
}

TEST(ServeConfig, SizesHaveUnits) {
  const std::pair<const char*, std::uint64_t> good[] = {
      {"0", 0},
      {"4096", 4096},
      {"1k", 1024},
      {"1K", 1024},
      {"1KB", 1024},
      {"1KiB", 1024},
      {"64MiB", 64u << 20},
      {"3g", 3221225472u},
      {"2TiB", std::uint64_t{2} << 40},
      {"7b", 7},
      {"18446744073709551615", 18446744073709551615u},
  };
  for (const auto& [text, bytes] : good) EXPECT_EQ(parse_size(text), bytes) << text;
  for (const char* text : {"", "k", "-1", "+1", "1.5k", "1 k", "1x", "1kk", "1ib", "0x10", "1k ",
                           "18446744073709551616", "18014398509481984k", "16777216TiB"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
  const std::pair<std::uint64_t, const char*> printed[] = {
      {0, "0"}, {1023, "1023"}, {1024, "1KiB"}, {1536, "1536"}, {64u << 20, "64MiB"}};
  for (const auto& [bytes, text] : printed) {
    EXPECT_EQ(size_text(bytes), text);
    EXPECT_EQ(parse_size(text), bytes);
  }
}

// examples/plumb.toml shows each setting commented out at its default, "#port = 8080"; sentences
// have a space after the sign.
TEST(ServeConfig, TheExampleShowsEverySettingAtItsDefault) {
  const auto text = read_file(std::string(PLUMB_SOURCE_DIR) + "/examples/plumb.toml");
  ASSERT_TRUE(text) << text.error().message;
  const auto as_it_is = read(*text);
  ASSERT_TRUE(as_it_is) << as_it_is.error().message;
  EXPECT_TRUE(check(*as_it_is));
  EXPECT_EQ(print_config(*as_it_is), print_config(ServeOptions()));
  std::string all;
  std::istringstream in(*text);
  for (std::string line; std::getline(in, line);) {
    if (line.size() > 1 && line[0] == '#' && line[1] != ' ') line.erase(0, 1);
    all += line + "\n";
  }
  auto options = read(all);
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_TRUE(check(*options));
  ServeOptions defaults;
  const auto shown = serve_settings(*options), expected = serve_settings(defaults);
  for (std::size_t i = 0; i < shown.size(); ++i) {
    EXPECT_EQ(shown[i].get(), expected[i].get()) << shown[i].key;
    const std::string line = str("\n#", shown[i].key, " = ");
    EXPECT_NE(text->find(line), std::string::npos) << shown[i].section << "." << shown[i].key;
  }
  EXPECT_FALSE(options->keys.empty());
  EXPECT_FALSE(options->aliases.empty());
}

}  // namespace
}  // namespace plumb
