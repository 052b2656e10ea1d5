// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/smoothing.h"

#include <algorithm>
#include <cmath>

namespace desk {

SmoothedSeries::SmoothedSeries(Smoothing smoothing)
    : m_smoothing(smoothing)
{
    m_smoothing.weight =
        std::isfinite(smoothing.weight) ? std::clamp(smoothing.weight, 0.0, 0.9999) : 0.0;
    if (!(m_smoothing.spacing > 0))
        m_smoothing.spacing = 1;
}

void SmoothedSeries::reset()
{
    m_mean = 0;
    m_norm = 0;
    m_isFresh = true;
}

double SmoothedSeries::next(double x, double value)
{
    if (!std::isfinite(value)) {
        reset();
        return value;
    }
    if (!m_isFresh && x < m_lastX)
        reset();
    double weight = m_smoothing.kind == Smoothing::Kind::None ? 0.0 : m_smoothing.weight;
    if (m_smoothing.kind == Smoothing::Kind::TimeWeightedEma && !m_isFresh)
        weight = std::pow(weight, (x - m_lastX) / m_smoothing.spacing);
    m_mean = m_mean * weight + value;
    m_norm = m_norm * weight + 1;
    m_lastX = x;
    m_isFresh = false;
    return m_mean / m_norm;
}

SeriesSnapshot SmoothedSeries::update(const SeriesSnapshot& raw)
{
    if (raw.isNull())
        return {};
    if (!m_series || m_raw.series() != raw.series()) {
        reset();
        m_series = std::make_shared<Series>(raw.series()->name(), raw.series()->xName());
    }
    m_raw = raw;
    for (std::size_t i = m_series->size(); i < raw.size(); ++i)
        m_series->append(raw.exactX(i), next(raw.x(i), raw.value(i)), raw.wallUs(i));
    return SeriesSnapshot(m_series);
}

} // namespace desk
