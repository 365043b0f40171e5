// plumb synth: random-weight checkpoints in the official layout.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/strings.h"
#include "model/deepseek_v4/random_checkpoint.h"

namespace plumb {
namespace {

namespace v4 = deepseek_v4;

struct SynthOptions {
  std::string config = "tiny";
  std::string directory;
  std::string experts = "fp4";
  int layers = 0;  // 0: all
  std::uint64_t seed = 1;
  std::uint64_t shard_bytes = std::uint64_t{4} << 30;
  bool headers_only = false;
};

// A file by that name, else a built-in config; its first layers alone if so asked.
Result<v4::Config> read_config(const std::string& name, int layers) {
  std::error_code ec;
  Result<v4::Config> config = v4::builtin_config(name);
  if (std::filesystem::is_regular_file(name, ec)) {
    PLUMB_TRY(text, read_file(name, std::uint64_t{4} << 20));
    config = v4::Config::parse(text, name);
  }
  if (!config || layers == 0) return config;
  return v4::first_layers(*std::move(config), layers);
}

int run_synth(const SynthOptions& options) {
  const auto config = read_config(options.config, options.layers);
  if (!config) return fail(config.error());
  v4::RandomOptions random;
  random.seed = options.seed;
  random.experts = options.experts == "fp8" ? v4::ExpertFormat::kFp8 : v4::ExpertFormat::kFp4;
  random.headers_only = options.headers_only;
  random.max_shard_bytes = options.shard_bytes;
  std::unique_ptr<Progress> progress;
  random.progress = [&](std::uint64_t done, std::uint64_t total) {
    if (!progress) {
      progress = std::make_unique<Progress>("Writing", total, ProgressUnit{"", true},
                                            progress_style_for(stderr));
    }
    progress->update(done);
  };
  const Status written = v4::write_random_checkpoint(options.directory, *config, random);
  progress.reset();
  if (!written) return fail(written.error());
  std::printf("%s\n", str("Wrote ", options.headers_only ? "the headers of " : "",
                          "a random checkpoint to ", options.directory, ".")
                          .c_str());
  return kExitOk;
}

}  // namespace

void add_synth(CLI::App& app, int& status) {
  auto options = std::make_shared<SynthOptions>();
  CLI::App* command =
      app.add_subcommand("synth", "Write a checkpoint with random weights in the official layout.");
  command->add_option("DIR", options->directory, "Directory to create")->required();
  command
      ->add_option("--config", options->config,
                   "A config.json, or one of v4-flash, v4-pro, bench-v4-2b, tiny")
      ->capture_default_str();
  command->add_option("--layers", options->layers, "Keep the config's first N layers alone")
      ->check(CLI::PositiveNumber);
  command->add_option("--seed", options->seed, "The same seed gives the same bytes")
      ->capture_default_str();
  command->add_option("--experts", options->experts, "How routed experts are stored")
      ->check(CLI::IsMember({"fp4", "fp8"}))
      ->capture_default_str();
  command->add_option("--shard-size", options->shard_bytes, "Largest shard, such as 4GiB")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("4GiB");
  command->add_flag("--headers-only", options->headers_only,
                    "Headers and lengths only: shards are holes that take no room");
  command->callback([options, &status] { status = run_synth(*options); });
}

}  // namespace plumb
