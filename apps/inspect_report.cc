#include "apps/inspect_report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/json.h"
#include "base/strings.h"
#include "checkpoint/safetensors.h"
#include "tensor/format.h"

namespace plumb {
namespace {

namespace v4 = deepseek_v4;

std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(text.size() < width ? width - text.size() : 0, ' ');
}

std::string right(const std::string& text, std::size_t width) {
  return std::string(text.size() < width ? width - text.size() : 0, ' ') + text;
}

// "284.33 B"
std::string count_text(std::uint64_t count) {
  char text[32];
  const double c = static_cast<double>(count);
  if (c >= 1e9) {
    std::snprintf(text, sizeof text, "%.2f B", c / 1e9);
  } else if (c >= 1e6) {
    std::snprintf(text, sizeof text, "%.2f M", c / 1e6);
  } else {
    return grouped(count);
  }
  return text;
}

// "2 window, 21 sparse (1 row per 4 tokens), 20 heavy (128)"
std::string layers_text(const v4::Config& c) {
  struct Kind {
    v4::AttentionKind kind;
    const char* name;
  };
  std::string text;
  for (const Kind& k :
       {Kind{v4::AttentionKind::kWindow, "window"}, Kind{v4::AttentionKind::kSparse, "sparse"},
        Kind{v4::AttentionKind::kHeavy, "heavy"}}) {
    const int count = c.count(k.kind);
    if (count == 0) continue;
    int ratio = 0;
    for (const v4::LayerConfig& layer : c.layers) {
      if (layer.attention == k.kind) ratio = std::max(ratio, layer.ratio);
    }
    text += str(text.empty() ? "" : ", ", count, " ", k.name);
    if (ratio > 0) text += str(" (a row per ", ratio, " tokens)");
  }
  return text;
}

int hash_layers(const v4::Config& c) {
  return static_cast<int>(
      std::count_if(c.layers.begin(), c.layers.end(),
                    [](const v4::LayerConfig& l) { return l.router == v4::RouterKind::kHash; }));
}

std::string head_text(const WeightStore& store, const ModelReport& r) {
  const v4::Config& c = r.config;
  std::string text = str(store.directory().string(), ": DeepSeek-V4, ", c.layers.size(), " layers",
                         c.mtp_layers > 0 ? " and a draft block" : "", "\n");
  text += str("  layers      ", layers_text(c), "; window ", c.window, "\n");
  text += str("  width       ", c.dim, " in ", c.hc, " streams, ", c.heads, " heads of ",
              c.head_dim, " (", c.rope_dim, " rotate)\n");
  text += str("  experts     ", c.experts, " of width ", c.expert_dim, ", ", c.experts_per_token,
              " and a shared one per token; ", hash_layers(c), " layers route by token id\n");
  text += str("  vocabulary  ", grouped(static_cast<std::uint64_t>(c.vocab)), "; context up to ",
              grouped(static_cast<std::uint64_t>(c.max_positions)), " tokens\n");
  text += str("  stored      linears ", format_name(r.totals.linear_format), ", experts ",
              format_name(r.totals.expert_format), "; ", store.shards().size(),
              store.shards().size() == 1 ? " file\n" : " files\n");
  return text;
}

std::string row(const std::string& name, const v4::Total& total) {
  return padded("  " + name, 22) + right(grouped(total.tensors), 9) +
         right(grouped(total.bytes), 18) + right(grouped(total.parameters), 20) + "\n";
}

std::string totals_text(const v4::Totals& totals) {
  std::string text =
      padded("", 22) + right("tensors", 9) + right("bytes", 18) + right("parameters", 20) + "\n";
  for (int i = 0; i < v4::kParts; ++i) {
    const v4::Total& part = totals.parts[static_cast<std::size_t>(i)];
    if (part.tensors > 0) text += row(std::string(v4::part_name(static_cast<v4::Part>(i))), part);
  }
  text += row("all", totals.all);
  text += str("Parameters of the trunk: ", count_text(totals.trunk_parameters), ", ",
              count_text(totals.active_parameters), " of them active per token (",
              bytes_text(totals.active_bytes), " of weights read)\n");
  return text;
}

Json number(std::uint64_t value) { return Json::number(std::to_string(value)); }

Json total_json(const v4::Total& total) {
  Json json = Json::object();
  json.set("tensors", number(total.tensors));
  json.set("bytes", number(total.bytes));
  json.set("parameters", number(total.parameters));
  return json;
}

Json plan_json(const MemoryPlan& plan) {
  Json json = Json::object();
  json.set("context", Json::integer(plan.context));
  json.set("sequences", Json::integer(plan.sequences));
  json.set("weights_bytes", number(plan.needs.weights));
  json.set("state_bytes", number(plan.state));
  json.set("scratch_bytes", number(plan.needs.scratch));
  json.set("total_bytes", number(plan.total));
  json.set("available_bytes", number(plan.available));
  json.set("fits", Json::boolean(plan.fits()));
  json.set("largest_context", Json::integer(plan.largest_context));
  return json;
}

Json shards_json(const WeightStore& store, const std::vector<ShardCheck>& checks) {
  std::vector<Json> list;
  for (std::size_t s = 0; s < store.shards().size(); ++s) {
    Json shard = Json::object();
    shard.set("file", Json::string(store.shards()[s].file));
    shard.set("bytes", number(store.shards()[s].bytes));
    if (s < checks.size()) {
      shard.set("sha256", Json::string(checks[s].sha256));
      std::vector<Json> bad;
      for (const BadNumbers& b : checks[s].bad) {
        Json item = Json::object();
        item.set("tensor", Json::string(b.tensor));
        item.set("count", number(b.count));
        item.set("first", number(b.first));
        bad.push_back(std::move(item));
      }
      shard.set("bad_numbers", Json::array(std::move(bad)));
    }
    list.push_back(std::move(shard));
  }
  return Json::array(std::move(list));
}

}  // namespace

std::string report_text(const WeightStore& store, const ModelReport& report) {
  const std::string state =
      str("State of a sequence: ", bytes_text(report.state_per_sequence), " and ",
          std::round(report.state_per_token * 100) / 100, " bytes per token\n");
  return head_text(store, report) + totals_text(report.totals) + state + describe_plan(report.plan);
}

std::string report_json(const WeightStore& store, const ModelReport& report) {
  const v4::Config& c = report.config;
  Json json = Json::object();
  json.set("directory", Json::string(store.directory().string()));
  json.set("model_type", Json::string(c.model_type));
  json.set("layers", Json::integer(static_cast<std::int64_t>(c.layers.size())));
  json.set("window_layers", Json::integer(c.count(v4::AttentionKind::kWindow)));
  json.set("sparse_layers", Json::integer(c.count(v4::AttentionKind::kSparse)));
  json.set("heavy_layers", Json::integer(c.count(v4::AttentionKind::kHeavy)));
  json.set("draft_blocks", Json::integer(c.mtp_layers));
  json.set("vocabulary", Json::integer(c.vocab));
  json.set("max_context", Json::integer(c.max_positions));
  json.set("linears", Json::string(format_name(report.totals.linear_format)));
  json.set("experts", Json::string(format_name(report.totals.expert_format)));
  Json parts = Json::object();
  for (int i = 0; i < v4::kParts; ++i) {
    parts.set(std::string(v4::part_name(static_cast<v4::Part>(i))),
              total_json(report.totals.parts[static_cast<std::size_t>(i)]));
  }
  json.set("parts", std::move(parts));
  json.set("total", total_json(report.totals.all));
  json.set("trunk_parameters", number(report.totals.trunk_parameters));
  json.set("active_parameters", number(report.totals.active_parameters));
  json.set("active_bytes", number(report.totals.active_bytes));
  json.set("state_bytes_per_token", Json::real(report.state_per_token));
  json.set("state_bytes_per_sequence", number(report.state_per_sequence));
  json.set("memory", plan_json(report.plan));
  json.set("files", shards_json(store, report.shards));
  return json.dump_pretty() + "\n";
}

std::string tensor_list(const WeightStore& store) {
  std::string text;
  for (const StoredTensor& t : store.tensors()) {
    text += padded(t.name, 52) + " " + padded(t.dtype, 8) + " " + padded(shape_text(t.shape), 18) +
            " " + store.shards()[static_cast<std::size_t>(t.shard)].file + "\n";
  }
  return text;
}

}  // namespace plumb
