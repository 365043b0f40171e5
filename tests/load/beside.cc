// serve_load beside: what a long prompt costs those who are writing, and they it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/strings.h"
#include "load/commands.h"
#include "load/crowd.h"
#include "load/figures.h"

namespace plumb::load {
namespace {

struct BesideOptions {
  ServerOptions server;
  LoadShape shape;
  int writers = 4, long_tokens = 32000;
  double seconds = 10;
};

constexpr int kWriterPrompt = 32, kWriterTokens = 4096;
constexpr int kLongAnswer = 2;
constexpr int kLongClient = 1 << 16;  // its prompts are nobody else's

// A long prompt's time to its first token, alone.
Result<double> alone(const BesideOptions& options, const ClientOptions& client) {
  Loop loop;
  Sample sample;
  Crowd::Calls calls;
  calls.next = [&](int, std::int64_t turn) -> std::optional<Ask> {
    if (turn > 0) return std::nullopt;
    return make_ids_ask(options.shape, kLongClient, 0, options.long_tokens, kLongAnswer);
  };
  calls.done = [&](Sample s) { sample = std::move(s); };
  calls.over = [&] { loop.stop(); };
  Crowd one(loop, client, 1, std::move(calls));
  one.start();
  loop.run();
  if (is_failure(sample.ending))
    return Error{Code::kUnavailable, "The long prompt failed: " + sample.why};
  if (!sample.first_ms)
    return Error{Code::kUnavailable, "The long prompt had no text for an answer."};
  return *sample.first_ms;
}

struct Company {
  Tally writers;
  std::vector<double> quiet_ms, beside_ms;  // gaps of writers
  Sample prompt;
  Moment sent{}, first{};  // of the long prompt
};

// Writers alone for a while, then with a long prompt beside them until its first token came.
class Scene {
 public:
  Scene(const BesideOptions& options, const ClientOptions& client)
      : options_(options),
        writers_(loop_, client, options.writers, writer_calls()),
        prompt_(loop_, client, prompt_calls()) {}

  Company play() {
    writers_.start();
    loop_.after(std::chrono::milliseconds(static_cast<int>(options_.seconds * 1000)), [this] {
      out_.sent = now();
      prompt_.start();
    });
    loop_.run();
    for (const Gap& gap : gaps_) sort_in(gap);
    return std::move(out_);
  }

 private:
  Crowd::Calls writer_calls() {
    Crowd::Calls calls;
    calls.next = [this](int i, std::int64_t turn) -> std::optional<Ask> {
      return make_ids_ask(options_.shape, i, turn, kWriterPrompt, kWriterTokens);
    };
    calls.done = [this](const Sample& sample) {
      out_.writers.add(sample);
      gaps_.insert(gaps_.end(), sample.gaps.begin(), sample.gaps.end());
    };
    calls.over = [this] { loop_.stop(); };
    return calls;
  }

  Client::Calls prompt_calls() {
    Client::Calls calls;
    calls.next = [this]() -> std::optional<Ask> {
      if (asked_) return std::nullopt;
      asked_ = true;
      return make_ids_ask(options_.shape, kLongClient, 1, options_.long_tokens, kLongAnswer);
    };
    calls.done = [this](Sample sample) { out_.prompt = std::move(sample); };
    calls.over = [this] { writers_.leave(); };
    return calls;
  }

  // A gap belongs to the prompt's time if they overlap.
  void sort_in(const Gap& gap) {
    const Moment begin = gap.end - std::chrono::duration_cast<Moment::duration>(
                                       std::chrono::duration<double, std::milli>(gap.ms));
    const Moment first =
        out_.sent +
        std::chrono::duration_cast<Moment::duration>(
            std::chrono::duration<double, std::milli>(out_.prompt.first_ms.value_or(0)));
    if (gap.end < out_.sent) {
      out_.quiet_ms.push_back(gap.ms);
    } else if (begin < first) {
      out_.beside_ms.push_back(gap.ms);
    }
  }

  const BesideOptions& options_;
  Loop loop_;
  bool asked_ = false;
  Company out_;
  std::vector<Gap> gaps_;
  Crowd writers_;
  Client prompt_;
};

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

int beside(BesideOptions options) {
  options.shape.model = options.server.model;
  options.shape.seed = options.server.seed;
  const auto client = client_options(options.server);
  if (!client) return fail(client.error());
  const auto first_alone = alone(options, *client);
  if (!first_alone) return fail(first_alone.error());
  Scene scene(options, *client);
  const Company company = scene.play();

  const Spread quiet = spread_of(company.quiet_ms), busy = spread_of(company.beside_ms);
  const double first_beside = company.prompt.first_ms.value_or(0);
  std::printf("%d writers, a prompt of %d tokens beside them\n", options.writers,
              options.long_tokens);
  std::printf("between tokens   p99 %.1f ms of %zu alone, %.1f ms of %zu beside it: %.2f times\n",
              quiet.p99, quiet.count, busy.p99, busy.count, ratio(busy.p99, quiet.p99));
  std::printf("first token      %.0f ms alone, %.0f ms beside them: %.2f times\n", *first_alone,
              first_beside, ratio(first_beside, *first_alone));
  Checks checks;
  checks.check(company.writers.failures() == 0 && company.prompt.ending == Ending::kComplete &&
                   quiet.count > 0 && busy.count > 0,
               str("the long prompt was answered beside ", options.writers, " writers, who wrote ",
                   busy.count, " pieces meanwhile; failures: ", company.writers.failure_text(), " ",
                   company.prompt.why));
  const Json report = Json::object({{"writers", Json::integer(options.writers)},
                                    {"long_tokens", Json::integer(options.long_tokens)},
                                    {"between_tokens_ms", spread_json(quiet)},
                                    {"between_tokens_beside_ms", spread_json(busy)},
                                    {"first_token_ms", Json::real(*first_alone)},
                                    {"first_token_beside_ms", Json::real(first_beside)},
                                    {"checks", checks.json()}});
  return write_report(options.server, report, checks.exit_status());
}

}  // namespace

void add_beside(CLI::App& app, int& status) {
  CLI::App* command =
      app.add_subcommand("beside", "A long prompt beside streams, and each without the other");
  const auto options = std::make_shared<BesideOptions>();
  add_server_options(*command, options->server);
  command->add_option("--writers", options->writers, "Streams")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--long-tokens", options->long_tokens, "Ids of the long prompt")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--seconds", options->seconds, "Streams alone, before the prompt comes")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--vocabulary", options->shape.vocabulary, "Random ids are below it")
      ->check(CLI::Range(2, 1 << 24))
      ->capture_default_str();
  command->callback([options, &status] { status = beside(*options); });
}

}  // namespace plumb::load
