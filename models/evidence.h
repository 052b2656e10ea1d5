// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "models/item_roles.h"
#include "models/rows.h"

#include <QString>

namespace desk {

/// The glyph that stands for what is known of a job.
[[nodiscard]] StatusKind statusOf(Evidence evidence) noexcept;
/// One word: "training", "silent", "orphaned", …
[[nodiscard]] QString evidenceWord(Evidence evidence);
/// What the word means for the job, in one sentence; empty where the word says it all.
[[nodiscard]] QString evidenceSentence(const JobRow& row, Time now);
/// True where somebody should look: failed, leaking, orphaned, silent.
[[nodiscard]] bool needsAttention(Evidence evidence) noexcept;
/// The server's state words in lower case: "creating input dataset".
[[nodiscard]] QString jobStateWord(JobState state, const QString& serverWord);
[[nodiscard]] StatusKind statusOfServerWord(const QString& word) noexcept;

} // namespace desk
