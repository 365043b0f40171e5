// Metrics in Prometheus' text format, read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace plumb::load {

// Immutable.
class Exposition {
 public:
  // kCorrupt names the line that is neither a sample nor a comment.
  static Result<Exposition> parse(std::string_view text);

  // Of all series of that name, whatever their labels; nullopt: there is none.
  std::optional<double> sum(std::string_view name) const;

 private:
  friend class HistogramGrowth;
  struct Series {
    std::string name;
    std::string le;  // the label of a histogram's bucket; empty: none
    double value = 0;
  };
  std::vector<Series> series_;
};

// What a histogram counted between two scrapes.
class HistogramGrowth {
 public:
  HistogramGrowth(const Exposition& before, const Exposition& after, std::string_view name);

  double count() const { return buckets_.empty() ? 0 : buckets_.back().second; }
  // The bounds of the bucket in which the value of that rank lies; the upper one may be infinite.
  std::pair<double, double> quantile(double q) const;

 private:
  std::vector<std::pair<double, double>> buckets_;  // upper bound, values at most that
};

}  // namespace plumb::load
