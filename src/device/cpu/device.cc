#include "device/cpu/device.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "device/cpu/tiles.h"

namespace plumb {

CpuDevice::CpuDevice(const cpu::KernelTable& table, int threads, std::int64_t worth_waking)
    : name_("cpu/" + std::string(table.name)),
      pool_(threads),
      kernels_(table, pool_, worth_waking),
      weights_(*this, pool_) {}

Result<WeightView> CpuDevice::place(const WeightView& host, Placement placement) {
  if (placement == Placement::kMapped) return RefDevice::place(host, placement);
  PLUMB_TRY_STATUS(cpu::check_tileable(host));
  const cpu::TileShape shape = cpu::tile_shape(host);
  PLUMB_TRY(to, weights_.take(shape.total_bytes()));
  constexpr int kPanelRows = cpu::kPanelTiles * cpu::kTileRows;
  std::mutex mutex;
  std::optional<Error> error;
  const auto tile = [&](std::int64_t begin, std::int64_t end, int) {
    const int last = std::min(host.rows, static_cast<int>(end) * kPanelRows);
    const Status status = cpu::tile_rows(host, static_cast<int>(begin) * kPanelRows, last, to);
    if (status) return;
    const std::lock_guard lock(mutex);
    if (!error) error = status.error();
  };
  pool_.run((host.rows + kPanelRows - 1) / kPanelRows, 1, tile);
  if (error) return *error;
  WeightView view = host;
  view.data = to;
  view.scales = nullptr;
  view.layout = Layout::kTiled;
  return view;
}

std::size_t CpuDevice::placed_bytes(const WeightView& host, Placement placement) const {
  return placement == Placement::kMapped ? 0 : cpu::tile_shape(host).total_bytes();
}

}  // namespace plumb
