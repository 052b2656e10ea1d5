// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/series.h"

#include <algorithm>
#include <cmath>

namespace desk {
namespace {

    constexpr std::size_t kFactor = 16;
    constexpr std::int64_t kNoExact = std::numeric_limits<std::int64_t>::min();
    constexpr std::int64_t kExactInDouble = std::int64_t { 1 } << 53;

    bool needsExact(const XValue& x) noexcept
    {
        return x.isInteger && (x.integer > kExactInDouble || x.integer < -kExactInDouble);
    }

    /// A rare column appears late: what came before gets the value that means "none".
    ChunkedArray<std::int64_t>& ensureRare(
        std::atomic<ChunkedArray<std::int64_t>*>& place, std::size_t size, std::int64_t none)
    {
        auto* column = place.load(std::memory_order_relaxed);
        if (column == nullptr) {
            column = new ChunkedArray<std::int64_t>;
            for (std::size_t i = 0; i < size; ++i)
                column->set(i, none);
            place.store(column, std::memory_order_release);
        }
        return *column;
    }

} // namespace

XValue XValue::of(std::int64_t step) noexcept
{
    return { static_cast<double>(step), step, true };
}

XValue XValue::of(double value) noexcept
{
    constexpr double kLimit = 9223372036854775808.0; // 2^63
    if (value >= -kLimit && value < kLimit && std::trunc(value) == value)
        return { value, static_cast<std::int64_t>(value), true };
    return { value, 0, false };
}

bool XValue::operator<(const XValue& other) const noexcept
{
    return isInteger && other.isInteger ? integer < other.integer : real < other.real;
}

bool XValue::operator==(const XValue& other) const noexcept
{
    if (isInteger && other.isInteger)
        return integer == other.integer;
    return isInteger == other.isInteger && real == other.real;
}

void Aggregate::add(double value) noexcept
{
    if (!std::isfinite(value)) {
        ++nonFinite;
        return;
    }
    if (count == 0)
        first = value;
    last = value;
    min = value < min ? value : min;
    max = value > max ? value : max;
    sum += value;
    ++count;
}

void Aggregate::add(const Aggregate& later) noexcept
{
    nonFinite += later.nonFinite;
    if (later.count == 0)
        return;
    if (count == 0)
        first = later.first;
    last = later.last;
    min = later.min < min ? later.min : min;
    max = later.max > max ? later.max : max;
    sum += later.sum;
    count += later.count;
}

Series::Series(std::string name, std::string xName)
    : m_name(std::move(name))
    , m_xName(std::move(xName))
{
}

Series::~Series()
{
    delete m_wall.load(std::memory_order_relaxed);
    delete m_exact.load(std::memory_order_relaxed);
    for (auto& level : m_levels)
        delete level.load(std::memory_order_relaxed);
}

void Series::append(const XValue& x, double value, std::int64_t wallUs)
{
    const std::size_t n = m_size.load(std::memory_order_relaxed);
    m_x.set(n, x.real);
    m_values.set(n, value);
    if (wallUs != 0 || m_wall.load(std::memory_order_relaxed) != nullptr)
        ensureRare(m_wall, n, 0).set(n, wallUs);
    if (needsExact(x) || m_exact.load(std::memory_order_relaxed) != nullptr)
        ensureRare(m_exact, n, kNoExact).set(n, needsExact(x) ? x.integer : kNoExact);
    if (n > 0 && x < m_lastX) {
        const std::size_t segment = m_segmentCount.load(std::memory_order_relaxed);
        m_segments.set(segment, n);
        m_segmentCount.store(segment + 1, std::memory_order_release);
    }
    m_lastX = x;
    if ((n + 1) % kFactor == 0)
        completeNodes(n + 1);
    m_size.store(n + 1, std::memory_order_release);
}

void Series::completeNodes(std::size_t size)
{
    std::size_t block = kFactor;
    for (std::size_t level = 0; level < kLevels && size % block == 0; ++level, block *= kFactor) {
        auto* nodes = m_levels[level].load(std::memory_order_relaxed);
        if (nodes == nullptr) {
            nodes = new ChunkedArray<Aggregate>;
            m_levels[level].store(nodes, std::memory_order_release);
        }
        const std::size_t node = size / block - 1;
        Aggregate sum;
        const auto* below =
            level == 0 ? nullptr : m_levels[level - 1].load(std::memory_order_relaxed);
        for (std::size_t i = node * kFactor; i < (node + 1) * kFactor; ++i) {
            if (level == 0)
                sum.add(m_values.at(i));
            else
                sum.add(below->at(i));
        }
        nodes->set(node, sum);
    }
}

} // namespace desk
