// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/metrics/series.h"

#include <memory>

namespace desk {

/// Exponential moving averages over the raw samples, never across a gap or a restart.
struct Smoothing
{
    enum class Kind
    {
        None,
        /// y' = w y' + (1 - w) y, divided by 1 - w^n: the debiased mean that common run viewers
        /// draw.
        Ema,
        /// The same with w^(dx / spacing) in place of w, so that uneven steps weigh by distance.
        TimeWeightedEma
    };
    Kind kind = Kind::None;
    double weight = 0.6; ///< 0 (raw) to below 1; clamped to [0, 0.9999]
    double spacing = 1; ///< x distance over which `weight` holds; > 0
    bool operator==(const Smoothing&) const = default;
};

/// A smoothed copy of one series, extended as the raw one grows; as long as the raw one, with the
/// same x, so that it is queried and drawn alike. Non-finite raw samples stay non-finite.
/// THREAD: one.
class SmoothedSeries
{
public:
    explicit SmoothedSeries(Smoothing smoothing);
    [[nodiscard]] const Smoothing& smoothing() const noexcept { return m_smoothing; }
    /// Works off the samples that `raw` has beyond the last call; O(new samples). A snapshot of
    /// another series starts anew.
    [[nodiscard]] SeriesSnapshot update(const SeriesSnapshot& raw);

private:
    void reset();
    double next(double x, double value);

    Smoothing m_smoothing;
    std::shared_ptr<Series> m_series;
    SeriesSnapshot m_raw; ///< holds the raw series, so that another one is told apart safely
    double m_mean = 0;
    double m_norm = 0;
    double m_lastX = 0;
    bool m_isFresh = true;
};

} // namespace desk
