// The part of the metrics that is read at the moment of a scrape and kept nowhere.
#pragma once

#include <vector>

#include "server/metrics.h"

namespace prometheus {
struct MetricFamily;
}

namespace plumb {

std::vector<prometheus::MetricFamily> snapshot_families(const MetricsOptions& options,
                                                        const MetricsSnapshot& snapshot);

}  // namespace plumb
