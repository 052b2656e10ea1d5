// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace desk {

/// Which batches a state of a tinker-cookbook loop already holds. The loop saves state N before it
/// goes on with batch N, but has submitted batches ahead by then: the state of batch N holds the
/// update of batch N too when the ledger shows it, and with a look-ahead of k perhaps those of the
/// k batches after it. A resume trains them again.
struct ResumeCertainty
{
    std::int64_t nextBatch = 0; ///< what the file says
    std::vector<std::int64_t> trained; ///< held for certain
    std::vector<std::int64_t> perhaps;
    std::string statement; ///< one sentence
};

/// `batch`: of the line of checkpoints.jsonl. `submitAhead`: of config.json; nullopt: 1, the
/// default of the loop. `lastStep`: newest of metrics.jsonl; nullopt: the ledger is empty. Pure.
[[nodiscard]] ResumeCertainty resumeCertainty(std::int64_t batch,
    std::optional<std::int64_t> submitAhead, std::optional<std::int64_t> lastStep);

} // namespace desk
