// The architecture, as a test: who may include whom, which library lives where, how long a file may
// be, and that nothing names a machine.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace plumb {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

// A module may include its own headers and those of its row; nothing else.
const std::map<std::string, Names> kMayInclude = {
    {"base", {}},
    {"tensor", {"base"}},
    {"grammar", {"base"}},
    {"text", {"base", "grammar"}},
    {"media", {"base"}},
    {"device", {"base", "tensor"}},
    {"checkpoint", {"base", "tensor"}},
    {"cache", {"base", "tensor", "device"}},
    {"model", {"base", "tensor", "device", "checkpoint", "cache"}},
    {"engine", {"base", "tensor", "cache", "model"}},
    {"gateway", {"base", "grammar", "text", "engine", "media"}},
    {"measure", {"base", "tensor", "device", "cache", "model"}},
    {"server", {"base", "text", "gateway"}},
    {"eval", {"base", "text", "gateway"}},
};

// Homes of third-party headers; the longest matching prefix counts. Outside src/ (apps, tests,
// bench, fuzz) they are named by those directories.
const std::map<std::string, Names> kLibraryHomes = {
    {"boost/", {"gateway", "server"}},
    {"boost/json", {"base"}},
    {"spdlog/", {"base"}},
    {"fmt/", {"base"}},
    {"numa", {"base"}},
    {"openssl/", {"base", "gateway", "server"}},
    {"xxhash.h", {"cache"}},
    {"liburing", {"checkpoint"}},
    {"sqlite3.h", {"gateway", "eval"}},
    {"libpq", {"gateway"}},
    {"prometheus/", {"server"}},
    {"cuda", {"device"}},
    {"mpi.h", {"device"}},
    {"jpeglib.h", {"media"}},
    {"png.h", {"media"}},
    {"webp/", {"media"}},
    {"CLI/", {"apps", "tests"}},
    {"toml++/", {"apps"}},
    {"histedit.h", {"apps"}},
    {"benchmark/", {"bench"}},
};
// Libraries every test may use, whichever module it tests.
const Names kTestLibraries = {"gtest/", "gmock/"};
const Names kHeaderExceptions = {"base/log.h:fmt/format.h"};
constexpr int kMaxLines = 800;

struct Finding {
  std::string file;
  std::string why;
};

// The area a file belongs to: its module below src/, else its top directory.
std::string area_of(const std::string& file) {
  const fs::path path(file);
  auto part = path.begin();
  if (*part == "src") ++part;
  return part->string();
}

bool is_header(const std::string& file) { return file.ends_with(".h") || file.ends_with(".cuh"); }

// Tests and what serves only them say so in their names: x_test.cc, x_test_data.h, x_for_tests.h.
bool is_test(const std::string& file) {
  return file.starts_with("tests/") || file.find("_test") != file.npos ||
         file.find("_for_tests.") != file.npos;
}

void check_include(const std::string& file, const std::string& to, std::vector<Finding>& out) {
  const std::string from = area_of(file);
  const std::string head = to.substr(0, to.find('/'));
  const bool in_module = file.starts_with("src/");
  if (in_module && head != from && to.find('/') != to.npos && kMayInclude.count(head) > 0 &&
      kMayInclude.at(from).count(head) == 0) {
    out.push_back({file, "may not include " + to});
  }
  if (in_module && (head == "apps" || head == "tests" || head == "bench")) {
    out.push_back({file, "reaches up to " + to});
  }
  for (const std::string& library : kTestLibraries) {
    if (to.starts_with(library) && !is_test(file)) out.push_back({file, to + " outside tests"});
  }
  const std::pair<const std::string, Names>* home = nullptr;
  for (const auto& entry : kLibraryHomes) {
    if (to.starts_with(entry.first) && (!home || entry.first.size() > home->first.size())) {
      home = &entry;
    }
  }
  if (!home) return;
  if (home->second.count(from) == 0) out.push_back({file, to + " does not belong in " + from});
  const bool excepted = kHeaderExceptions.count(file.substr(file.find('/') + 1) + ":" + to) > 0;
  if (is_header(file) && !excepted) out.push_back({file, to + " in a header"});
}

// `text` is the whole file, `file` its path from the top, with forward slashes.
std::vector<Finding> check(const std::string& file, const std::string& text) {
  static const std::regex include(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  // A directory that exists on somebody's machine only. Split, so that this line is not a finding.
  static const std::regex machine(std::string("(^|[\"' =(:<`])/(") + "home|root|Users|work" +
                                  ")/[a-z]");
  std::vector<Finding> out;
  const bool is_source = is_header(file) || file.ends_with(".cc") || file.ends_with(".cu");
  if (is_source && file.starts_with("src/") && kMayInclude.count(area_of(file)) == 0) {
    out.push_back({file, "belongs to no module of the table"});
    return out;
  }
  int lines = 0;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line); ++lines) {
    std::smatch m;
    if (is_source && std::regex_search(line, m, include)) check_include(file, m[1], out);
    if (std::regex_search(line, m, machine))
      out.push_back({file, "names a machine's path: " + line});
  }
  if (lines > kMaxLines)
    out.push_back({file, "is longer than " + std::to_string(kMaxLines) + " lines"});
  return out;
}

// Text that people write and read; data (vectors, corpora, models, vocabularies) is not.
bool is_checked(const std::string& file) {
  static const Names kEndings = {".h", ".cc", ".cu", ".cuh", ".py", ".sh", ".cmake"};
  return kEndings.count(fs::path(file).extension().string()) > 0 &&
         file.find("/corpus/") == file.npos && file.find("/data/") == file.npos;
}

TEST(Layers, TheTreeKeepsTheLaw) {
  const fs::path top(PLUMB_SOURCE_DIR);
  int files = 0;
  for (const char* area : {"src", "apps", "tests", "bench", "tools", "fuzz", "cmake"}) {
    if (!fs::exists(top / area)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(top / area)) {
      const std::string file = fs::relative(entry.path(), top).generic_string();
      if (!entry.is_regular_file() || !is_checked(file)) continue;
      ++files;
      std::ifstream in(entry.path(), std::ios::binary);
      std::stringstream text;
      text << in.rdbuf();
      for (const Finding& finding : check(file, text.str())) {
        ADD_FAILURE() << finding.file << ": " << finding.why;
      }
    }
  }
  EXPECT_GT(files, 40);  // the walk found the tree
}

// The law's table has no cycle: whoever may be included may not include back.
TEST(Layers, TheTableHasNoCycle) {
  for (const auto& [module, below] : kMayInclude) {
    for (const std::string& other : below) {
      ASSERT_EQ(kMayInclude.count(other), 1u) << other;
      EXPECT_EQ(kMayInclude.at(other).count(module), 0u) << module << " and " << other;
      for (const std::string& further : kMayInclude.at(other)) {
        EXPECT_NE(further, module);
      }
    }
  }
}

// Each kind of violation is found, and what is allowed is not.
TEST(Layers, PlantedViolationsAreFound) {
  const std::pair<const char*, const char*> bad[] = {
      {"src/base/a.cc", "#include \"tensor/tensor.h\"\n"},
      {"src/text/a.cc", "  #  include \"engine/engine.h\"\n"},
      {"src/engine/a_test.cc", "#include \"device/device.h\"\n"},
      {"src/gateway/a.cc", "#include \"model/language_model.h\"\n"},
      {"src/model/a.cc", "#include \"apps/options.h\"\n"},
      {"src/unknown/a.cc", "int x;\n"},
      {"src/text/a.cc", "#include <boost/json.hpp>\n"},
      {"src/gateway/a.cc", "#include <boost/json/src.hpp>\n"},
      {"src/base/a.h", "#include <openssl/evp.h>\n"},
      {"src/base/a.cc", "#include <boost/asio.hpp>\n"},
      {"src/base/a.cc", "#include <gtest/gtest.h>\n"},
      {"src/engine/a.cc", "#include <CLI/CLI.hpp>\n"},
      {"apps/a.h", "#include <histedit.h>\n"},
      {"tests/a_test.cc", "#include <sqlite3.h>\n"},
  };
  for (const auto& [file, text] : bad)
    EXPECT_EQ(check(file, text).size(), 1u) << file << ": " << text;
  EXPECT_EQ(check("tools/a.sh", std::string("cd /ho") + "me/someone\n").size(), 1u);
  EXPECT_EQ(check("src/base/a.cc", std::string("open(\"/ro") + "ot/x\");\n").size(), 1u);
  std::string lines;
  for (int i = 0; i < kMaxLines; ++i) lines += "\n";
  EXPECT_TRUE(check("src/base/a.cc", lines).empty());
  EXPECT_EQ(check("src/base/a.cc", lines + "\n").size(), 1u);

  const std::pair<const char*, const char*> good[] = {
      {"src/base/a.cc", "#include <boost/json/basic_parser_impl.hpp>\n#include <openssl/evp.h>\n"},
      {"src/model/a.cc", "#include \"cache/pages.h\"\n#include \"base/check.h\"\n"},
      {"src/model/deepseek_v4/a_test.cc", "#include <gtest/gtest.h>\n#include \"model/model.h\"\n"},
      {"apps/a.cc", "#include <CLI/CLI.hpp>\n#include \"gateway/provider.h\"\n"},
      {"bench/a_bench.cc", "#include <benchmark/benchmark.h>\n"},
      {"src/gateway/a.cc", "#include <boost/asio.hpp>\n"},
      {"src/base/a.cc", "#include <sys/mman.h>\n// a root/path is fine\n"},
  };
  for (const auto& [file, text] : good)
    EXPECT_TRUE(check(file, text).empty()) << file << ": " << text;
}

}  // namespace
}  // namespace plumb
