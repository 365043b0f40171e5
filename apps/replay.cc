// plumb replay: the answer to a recorded request, computed again.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/stack.h"
#include "base/digest.h"
#include "base/interrupt.h"
#include "base/strings.h"
#include "server/record.h"

namespace plumb {
namespace {

struct ReplayOptions {
  StackOptions stack;
  std::string id;
  std::string directory;
};

int run(ReplayOptions options) {
  install_interrupt_counter();
  const auto record = load_record(options.directory, options.id);
  if (!record) return fail(record.error());
  options.stack.sequences = static_cast<int>(record->cached.size());
  options.stack.sessions = 0;
  options.stack.name = record->model;
  const auto stack = open_stack(options.stack);
  if (!stack) return fail(stack.error());
  wire::Defaults defaults;
  defaults.sampling = (*stack)->defaults;
  const auto bytes = replay(*record, *(*stack)->provider, defaults);
  if (!bytes) return fail(bytes.error());
  std::fwrite(bytes->data(), 1, bytes->size(), stdout);
  std::fflush(stdout);
  if (sha256_hex(*bytes) == record->sha256) {
    std::fprintf(stderr, "%s: the same %zu bytes (SHA-256 %s).\n", record->id.c_str(),
                 bytes->size(), record->sha256.c_str());
    return kExitOk;
  }
  return fail({Code::kInternal,
               str(record->id, ": ", bytes->size(), " bytes with the SHA-256 ", sha256_hex(*bytes),
                   ", recorded were ", record->bytes, " with ", record->sha256, ".")});
}

}  // namespace

void add_replay(CLI::App& app, int& status) {
  CLI::App* command =
      app.add_subcommand("replay", "Compute a recorded answer again and compare the bytes");
  const auto options = std::make_shared<ReplayOptions>();
  command
      ->add_option("ID", options->id, "The request's id, as its answer's header x-request-id says")
      ->required();
  command
      ->add_option("--records", options->directory,
                   "The directory that `plumb serve --record` wrote")
      ->required();
  add_stack_options(*command, options->stack);
  command->footer(
      "The answer's body goes to standard output, as the client got it (keep-alive comments left "
      "out).\n"
      "Example:\n"
      "  plumb replay req_0123 --records records");
  command->callback([options, &status] { status = run(*options); });
}

}  // namespace plumb
