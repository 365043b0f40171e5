// plumb: one program, one table of subcommands.
#include <CLI/CLI.hpp>
#include <exception>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "base/mapped_file.h"
#include "base/version.h"

namespace {

using Add = void (*)(CLI::App& app, int& status);

// In the order of `plumb --help`.
constexpr Add kCommands[] = {
    plumb::add_chat,
    plumb::add_generate,
#if defined(PLUMB_SERVER)
    plumb::add_serve,
    plumb::add_replay,
#endif
    plumb::add_tokenize,
    plumb::add_perplexity,
    plumb::add_inspect,
    plumb::add_synth,
    plumb::add_bench,
};

int run(int argc, char** argv) {
  CLI::App app("Runs DeepSeek-V4 models on this machine.", "plumb");
  app.set_version_flag("--version", plumb::version_text());
  app.require_subcommand(1);
  app.footer("`plumb COMMAND --help` explains a command.");
  int status = plumb::kExitOk;
  for (const Add add : kCommands) add(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version come this way too, with status 0.
    return app.exit(error) == 0 ? plumb::kExitOk : plumb::kExitInvalid;
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  plumb::install_mapping_guard();
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    return plumb::fail({plumb::Code::kExhausted, "There is not enough memory for this."});
  } catch (const std::exception& error) {
    return plumb::fail({plumb::Code::kInternal, error.what()});
  }
}
