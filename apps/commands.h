// The subcommands of plumb. Each add_* puts one on the command line; when it is the one chosen, it
// runs and leaves its exit status in `status`.
#pragma once

namespace CLI {
class App;
}

namespace plumb {

void add_chat(CLI::App& app, int& status);
void add_generate(CLI::App& app, int& status);
void add_serve(CLI::App& app, int& status);
void add_replay(CLI::App& app, int& status);
void add_perplexity(CLI::App& app, int& status);
void add_tokenize(CLI::App& app, int& status);
void add_inspect(CLI::App& app, int& status);
void add_bench(CLI::App& app, int& status);
void add_synth(CLI::App& app, int& status);

}  // namespace plumb
