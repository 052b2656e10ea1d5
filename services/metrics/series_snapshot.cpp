// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/series.h"

#include <algorithm>
#include <cmath>

namespace desk {
namespace {

    constexpr std::size_t kPyramidFactor = 16;

} // namespace

SeriesSnapshot::SeriesSnapshot(std::shared_ptr<const Series> series)
    : m_series(std::move(series))
{
    if (!m_series)
        return;
    m_size = m_series->m_size.load(std::memory_order_acquire);
    // Read after the size, so it may already count a segment that begins behind it.
    m_segments = m_series->m_segmentCount.load(std::memory_order_acquire);
    while (m_segments > 1 && m_series->m_segments.at(m_segments - 1) >= m_size)
        --m_segments;
}

XValue SeriesSnapshot::exactX(std::size_t index) const noexcept
{
    const auto* exact = m_series->m_exact.load(std::memory_order_acquire);
    if (exact != nullptr) {
        const std::int64_t step = exact->at(index);
        if (step != std::numeric_limits<std::int64_t>::min())
            return XValue::of(step);
    }
    return XValue::of(x(index));
}

std::int64_t SeriesSnapshot::wallUs(std::size_t index) const noexcept
{
    const auto* wall = m_series->m_wall.load(std::memory_order_acquire);
    return wall != nullptr ? wall->at(index) : 0;
}

Sample SeriesSnapshot::sample(std::size_t index) const noexcept
{
    return { exactX(index), value(index), wallUs(index) };
}

std::optional<Sample> SeriesSnapshot::latest() const
{
    if (m_size == 0)
        return std::nullopt;
    return sample(m_size - 1);
}

std::size_t SeriesSnapshot::segmentBegin(std::size_t segment) const noexcept
{
    return segment == 0 ? 0 : m_series->m_segments.at(segment);
}

std::size_t SeriesSnapshot::segmentEnd(std::size_t segment) const noexcept
{
    return segment + 1 < m_segments ? segmentBegin(segment + 1) : m_size;
}

std::size_t SeriesSnapshot::visibleEnd(std::size_t segment) const
{
    double limit = std::numeric_limits<double>::infinity();
    for (std::size_t later = segment + 1; later < m_segments; ++later)
        limit = std::min(limit, x(segmentBegin(later)));
    return lowerBound(segmentBegin(segment), segmentEnd(segment), limit);
}

std::size_t SeriesSnapshot::visibleSize() const
{
    std::size_t size = 0;
    for (const Range& range : ranges(false))
        size += range.end - range.begin;
    return size;
}

Aggregate SeriesSnapshot::aggregate(std::size_t begin, std::size_t end) const noexcept
{
    Aggregate out;
    std::size_t i = begin;
    while (i < end) {
        std::size_t level = 0; // 0: the raw sample; l: node of pyramid level l - 1
        std::size_t block = 1;
        while (level < Series::kLevels && i % (block * kPyramidFactor) == 0
            && end - i >= block * kPyramidFactor) {
            ++level;
            block *= kPyramidFactor;
        }
        if (level == 0)
            out.add(value(i));
        else
            out.add(m_series->m_levels[level - 1].load(std::memory_order_acquire)->at(i / block));
        i += block;
    }
    return out;
}

std::size_t SeriesSnapshot::lowerBound(std::size_t begin, std::size_t end, double limit) const
{
    while (begin < end) {
        const std::size_t middle = begin + (end - begin) / 2;
        if (x(middle) < limit)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

std::size_t SeriesSnapshot::upperBound(std::size_t begin, std::size_t end, double limit) const
{
    while (begin < end) {
        const std::size_t middle = begin + (end - begin) / 2;
        if (x(middle) <= limit)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

std::vector<SeriesSnapshot::Range> SeriesSnapshot::ranges(bool withSuperseded) const
{
    std::vector<Range> out;
    if (m_size == 0)
        return out;
    double limit = std::numeric_limits<double>::infinity();
    for (std::size_t segment = m_segments; segment-- > 0;) {
        const std::size_t begin = segmentBegin(segment);
        const double firstX = x(begin);
        const bool isWhole = withSuperseded || std::isinf(limit);
        if (isWhole || firstX < limit) {
            const std::size_t end = segmentEnd(segment);
            out.push_back({ begin, isWhole ? end : lowerBound(begin, end, limit),
                static_cast<std::uint32_t>(segment) });
        }
        limit = std::min(limit, firstX);
    }
    std::reverse(out.begin(), out.end());
    return out;
}

Column SeriesSnapshot::columnOf(std::size_t begin, std::size_t end, std::uint32_t segment) const
{
    const Aggregate sum = aggregate(begin, end);
    return { x(begin), x(end - 1), sum.first, sum.last, sum.min, sum.max, sum.count, sum.nonFinite,
        segment };
}

SeriesColumns SeriesSnapshot::query(const SeriesQuery& query) const
{
    SeriesColumns out;
    if (m_size == 0 || !std::isfinite(query.from) || !std::isfinite(query.to)
        || query.to < query.from || query.columns < 1)
        return out;
    const auto limit = static_cast<std::size_t>(query.columns);

    struct Window
    {
        Range range; // what may be drawn
        std::size_t begin; // what lies in the window
        std::size_t end;
    };
    std::vector<Window> windows;
    for (const Range& range : ranges(query.withSuperseded)) {
        const std::size_t begin = lowerBound(range.begin, range.end, query.from);
        const std::size_t end = upperBound(begin, range.end, query.to);
        windows.push_back({ range, begin, end });
        out.samples += end - begin;
        const Aggregate sum = aggregate(begin, end);
        out.nonFinite += sum.nonFinite;
        out.min = std::min(out.min, sum.min);
        out.max = std::max(out.max, sum.max);
    }
    out.isExact = out.samples <= limit;

    // A file that restarts at every line must not cost a column per restart and pixel.
    const std::size_t budget = 16 * limit + 1024;
    std::size_t spent = 0;
    std::size_t firstWindow = windows.size();
    while (firstWindow > 0 && spent < budget) {
        --firstWindow;
        spent += std::min(windows[firstWindow].end - windows[firstWindow].begin, limit) + 2;
    }
    out.isTruncated = firstWindow > 0;

    const double width = (query.to - query.from) / static_cast<double>(limit);
    for (std::size_t w = firstWindow; w < windows.size(); ++w) {
        const auto& [range, begin, end] = windows[w];
        if (begin > range.begin)
            out.columns.push_back(columnOf(begin - 1, begin, range.segment));
        std::size_t i = begin;
        while (i < end) {
            std::size_t next = i + 1;
            if (!out.isExact) {
                const double column = std::floor((x(i) - query.from) / width);
                next = std::max(next, lowerBound(i, end, query.from + (column + 1) * width));
                if (column + 1 >= static_cast<double>(limit) || width <= 0)
                    next = end;
            }
            out.columns.push_back(columnOf(i, next, range.segment));
            i = next;
        }
        if (end < range.end)
            out.columns.push_back(columnOf(end, end + 1, range.segment));
    }
    return out;
}

std::optional<Sample> SeriesSnapshot::at(double position) const
{
    const auto visible = ranges(false);
    for (auto range = visible.rbegin(); range != visible.rend(); ++range) {
        const std::size_t end = upperBound(range->begin, range->end, position);
        if (end > range->begin)
            return sample(end - 1);
    }
    return std::nullopt;
}

std::optional<std::pair<double, double>> SeriesSnapshot::xRange() const
{
    if (m_size == 0)
        return std::nullopt;
    double low = x(0);
    double high = x(m_size - 1);
    for (std::size_t segment = 0; segment < m_segments; ++segment) {
        low = std::min(low, x(segmentBegin(segment)));
        high = std::max(high, x(segmentEnd(segment) - 1));
    }
    return std::pair { low, high };
}

} // namespace desk
