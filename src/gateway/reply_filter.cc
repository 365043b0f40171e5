#include "gateway/reply_filter.h"

#include <algorithm>
#include <utility>

namespace plumb {
namespace {

void keep_only(std::span<std::uint64_t> allowed, Token token) {
  std::fill(allowed.begin(), allowed.end(), 0);
  grammar::insert(allowed, token);
}

}  // namespace

ReplyFilter::ReplyFilter(ReplyFilterOptions options) : options_(std::move(options)) {
  if (options_.machine) matcher_.emplace(options_.machine);
  if (!options_.starts_in_reasoning) reasoning_end_ = 0;
}

bool ReplyFilter::in_reasoning() const { return reasoning_end_ < 0; }

void ReplyFilter::bitmask(std::span<std::uint64_t> allowed) {
  const bool over =
      in_reasoning() && options_.max_reasoning >= 0 && accepted_ >= options_.max_reasoning;
  if (over && !matcher_) return keep_only(allowed, options_.end_of_reasoning);
  if (!matcher_) return;
  scratch_.assign(allowed.size(), 0);
  // A grammar that grew beyond its limits allows nothing, and the request fails.
  if (broken_at_ < 0 && matcher_->allow(scratch_) && matcher_->may_end()) {
    for (const Token end : options_.ends) grammar::insert(scratch_, end);
  }
  // A character that was begun is completed first.
  if (over && grammar::contains(scratch_, options_.end_of_reasoning))
    return keep_only(allowed, options_.end_of_reasoning);
  std::copy(scratch_.begin(), scratch_.end(), allowed.begin());
}

void ReplyFilter::accept(Token token) {
  if (in_reasoning() && token == options_.end_of_reasoning) reasoning_end_ = accepted_;
  if (matcher_ && broken_at_ < 0 && !matcher_->accept(token)) broken_at_ = accepted_;
  ++accepted_;
}

void ReplyFilter::rollback(int tokens) {
  const int before = accepted_;
  accepted_ -= tokens;
  if (options_.starts_in_reasoning && reasoning_end_ >= accepted_) reasoning_end_ = -1;
  const int held = broken_at_ < 0 ? before : broken_at_;  // tokens that the matcher holds
  if (matcher_ && held > accepted_) matcher_->rollback(held - accepted_);
  if (broken_at_ >= accepted_) broken_at_ = -1;
}

}  // namespace plumb
