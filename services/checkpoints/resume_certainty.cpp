// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/checkpoints/resume_certainty.h"

#include <algorithm>

namespace desk {
namespace {

    constexpr std::int64_t kDefaultAhead = 1;
    constexpr std::int64_t kMaxAhead = 64;

    std::string numbers(const std::vector<std::int64_t>& values)
    {
        std::string text;
        for (const auto value : values)
            text += (text.empty() ? "" : ", ") + std::to_string(value);
        return text;
    }

} // namespace

ResumeCertainty resumeCertainty(std::int64_t batch, std::optional<std::int64_t> submitAhead,
    std::optional<std::int64_t> lastStep)
{
    ResumeCertainty answer;
    answer.nextBatch = batch;
    const auto ahead = std::clamp<std::int64_t>(submitAhead.value_or(kDefaultAhead), 0, kMaxAhead);
    const auto last = lastStep.value_or(batch - 1);
    if (last >= batch)
        answer.trained.push_back(batch);
    for (auto i = batch + 1; i <= batch + ahead && i <= last; ++i)
        answer.perhaps.push_back(i);
    answer.statement =
        "Weights and optimizer are restored; the file says next batch " + std::to_string(batch);
    if (answer.trained.empty()) {
        answer.statement += ", and no later batch was trained";
        return answer;
    }
    answer.statement += "; already contained: " + numbers(answer.trained);
    if (!answer.perhaps.empty())
        answer.statement += ", perhaps " + numbers(answer.perhaps) + " (submit_ahead "
            + std::to_string(ahead) + ")";
    const auto twice = answer.trained.size() + answer.perhaps.size();
    answer.statement += "; so " + std::string(answer.perhaps.empty() ? "" : "up to ")
        + std::to_string(twice) + (twice == 1 ? " batch" : " batches") + " would be trained twice";
    return answer;
}

} // namespace desk
