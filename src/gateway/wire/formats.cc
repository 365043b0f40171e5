#include "gateway/wire/formats.h"

#include "gateway/wire/anthropic.h"
#include "gateway/wire/openai_chat.h"
#include "gateway/wire/openai_completions.h"
#include "gateway/wire/responses.h"

namespace plumb::wire {

std::span<const Format* const> formats() {
  static constexpr const Format* kAll[] = {&kOpenAiChat, &kOpenAiCompletions, &kOpenAiResponses,
                                           &kAnthropicMessages};
  return kAll;
}

const Format* format_named(std::string_view name) {
  for (const Format* format : formats()) {
    if (format->name == name) return format;
  }
  return nullptr;
}

}  // namespace plumb::wire
