// The report of plumb inspect, as text and as JSON.
#pragma once

#include <string>
#include <vector>

#include "apps/memory_plan.h"
#include "checkpoint/verify.h"
#include "checkpoint/weight_store.h"
#include "model/deepseek_v4/config.h"
#include "model/deepseek_v4/inventory.h"

namespace plumb {

struct ModelReport {
  deepseek_v4::Config config;
  deepseek_v4::Totals totals;
  double state_per_token = 0;            // bytes that one sequence grows by
  std::uint64_t state_per_sequence = 0;  // bytes of one sequence, whatever its length
  MemoryPlan plan;
  std::vector<ShardCheck> shards;  // with --verify, in the store's order
};

std::string report_text(const WeightStore& store, const ModelReport& report);
std::string report_json(const WeightStore& store, const ModelReport& report);
// One line per tensor: name, type, shape, shard.
std::string tensor_list(const WeightStore& store);

}  // namespace plumb
