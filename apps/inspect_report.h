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
  MemoryPlan plan;
  std::vector<ShardCheck> shards;  // with --verify, in the store's order
};

std::string report_text(const WeightStore& store, const ModelReport& report);
std::string report_json(const WeightStore& store, const ModelReport& report);
// One line per tensor: name, type, shape, shard.
std::string tensor_list(const WeightStore& store);

}  // namespace plumb
