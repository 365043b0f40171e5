// The README's commands work as printed: every line of its sh blocks is run here, but for those
// that install packages, which tools/bare_debian.sh runs on a fresh system.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/temp_dir_for_tests.h"

namespace plumb {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  int status = -1;
  std::string output;  // stdout and stderr
};

Outcome run(const std::string& command) {
  Outcome out;
  std::FILE* pipe = ::popen((command + " 2>&1 < /dev/null").c_str(), "r");
  if (pipe == nullptr) return out;
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    out.output.append(buffer, n);
  const int status = ::pclose(pipe);
  out.status = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
  return out;
}

std::string commands_of(const std::string& kind, const fs::path& readme) {
  const std::string top = PLUMB_SOURCE_DIR;
  const Outcome out =
      run("'" + top + "/tools/readme_commands.sh' " + kind + " '" + readme.string() + "'");
  EXPECT_EQ(out.status, 0) << out.output;
  return out.output;
}

TEST(Readme, BlocksAreSortedByWhereTheyRun) {
  const TempDir dir;
  ASSERT_TRUE(
      write_file_atomically(dir / "r.md",
                            "text\n```sh\none\ntwo\n```\n<!-- run on a bare system -->\n```sh\n"
                            "three\n```\n```\nfour\n```\n```sh\nfive\n```\n"));
  EXPECT_EQ(commands_of("here", dir / "r.md"), "one\ntwo\nfive\n");
  EXPECT_EQ(commands_of("bare", dir / "r.md"), "three\n");
  const std::string bare = commands_of("bare", fs::path(PLUMB_SOURCE_DIR) / "README.md");
  EXPECT_NE(bare.find("make run"), std::string::npos) << "the README must say how to begin";
}

TEST(Readme, EveryCommandWorks) {
#ifndef PLUMB_PROGRAM
  GTEST_SKIP() << "There is no program to run the README's commands with.";
#else
  const fs::path top(PLUMB_SOURCE_DIR);
  const std::string commands = commands_of("here", top / "README.md");
  ASSERT_NE(commands.find("build/plumb"), std::string::npos);
  // A look-alike of the top directory, so that the commands find what they name and leave nothing.
  const TempDir dir;
  for (const auto& entry : fs::directory_iterator(top)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("build") && name != ".git") fs::create_symlink(entry.path(), dir / name);
  }
  fs::create_directory(dir / "build");
  fs::create_symlink(PLUMB_PROGRAM, dir.path() / "build" / "plumb");
  ASSERT_TRUE(write_file_atomically(dir / "commands.sh", "set -eux\n" + commands));
  const Outcome out =
      run("cd '" + dir.path().string() + "' && HOME=\"$PWD\" timeout 280 bash commands.sh");
  EXPECT_EQ(out.status, 0) << out.output;
#endif
}

}  // namespace
}  // namespace plumb
