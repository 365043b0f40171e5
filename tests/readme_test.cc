// The README's commands work as printed: every line of its sh blocks is run here, but for those
// that install packages, which tools/bare_debian.sh runs on a fresh system.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "run_shell.h"

namespace plumb {
namespace {

namespace fs = std::filesystem;

// Both streams are in `out`.
Outcome run(const std::string& command) { return run_shell(command + " 2>&1 < /dev/null"); }

std::string commands_of(const std::string& kind, const fs::path& readme) {
  const std::string top = PLUMB_SOURCE_DIR;
  const Outcome out =
      run("'" + top + "/tools/readme_commands.sh' " + kind + " '" + readme.string() + "'");
  EXPECT_EQ(out.status, 0) << out.out;
  return out.out;
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
  EXPECT_EQ(out.status, 0) << out.out;
#endif
}

}  // namespace
}  // namespace plumb
