// A checkpoint for benchmarks, with the device and the files that it needs to stay.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "checkpoint/weight_store.h"
#include "device/device.h"
#include "model/deepseek_v4/config.h"
#include "model/deepseek_v4/model.h"
#include "model/deepseek_v4/names.h"

namespace plumb {

struct LoadedModel {
  std::unique_ptr<Device> device;
  std::unique_ptr<WeightStore> store;
  std::unique_ptr<LanguageModel> model;
};

inline Result<std::unique_ptr<LoadedModel>> load_model(const std::string& directory, int threads,
                                                       const deepseek_v4::LoadOptions& options) {
  auto loaded = std::make_unique<LoadedModel>();
  DeviceOptions device_options;
  device_options.threads = threads;
  PLUMB_TRY(device, open_device(device_options));
  loaded->device = std::move(device);
  OpenOptions open;
  open.canonical = deepseek_v4::canonical_name;
  PLUMB_TRY(store, WeightStore::open(directory, open));
  loaded->store = std::move(store);
  PLUMB_TRY(config, deepseek_v4::Config::parse(loaded->store->config_json()));
  PLUMB_TRY(model, deepseek_v4::load(*loaded->store, config, *loaded->device, options));
  loaded->model = std::move(model);
  return loaded;
}

}  // namespace plumb
