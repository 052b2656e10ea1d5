// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QStringView>

namespace desk {

/// Compares texts as people count: digits by their value ("step-9" before "step-10"), letters
/// without case. Negative, zero or positive.
[[nodiscard]] int compareNaturally(QStringView a, QStringView b) noexcept;

} // namespace desk
