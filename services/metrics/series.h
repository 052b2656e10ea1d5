// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/metrics/chunked_array.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace desk {

/// A place on the x axis: an integer step, exact over the whole 64 bits, or a fraction (epochs).
struct XValue
{
    double real = 0;
    std::int64_t integer = 0; ///< meaningful when isInteger
    bool isInteger = true;
    [[nodiscard]] static XValue of(std::int64_t step) noexcept;
    /// A whole number within the 64 bits becomes an integer.
    [[nodiscard]] static XValue of(double value) noexcept;
    [[nodiscard]] bool operator<(const XValue& other) const noexcept;
    [[nodiscard]] bool operator==(const XValue& other) const noexcept;
};

struct Sample
{
    XValue x;
    double value = 0;
    std::int64_t wallUs = 0; ///< microseconds since 1970, UTC; 0: not known
};

/// What a stretch of samples comes to. Non-finite values are counted and otherwise left out.
struct Aggregate
{
    double first = std::numeric_limits<double>::quiet_NaN();
    double last = std::numeric_limits<double>::quiet_NaN();
    double min = std::numeric_limits<double>::infinity();
    double max = -std::numeric_limits<double>::infinity();
    double sum = 0;
    std::uint32_t count = 0; ///< finite samples
    std::uint32_t nonFinite = 0;
    void add(double value) noexcept;
    void add(const Aggregate& later) noexcept;
};

/// One drawn column. min == max == first == last when it stands for one sample; count == 0 with
/// nonFinite > 0 is a gap with a marker.
struct Column
{
    double x = 0; ///< of the first sample of the column
    double lastX = 0; ///< of the last one
    double first = 0;
    double last = 0;
    double min = 0;
    double max = 0;
    std::uint32_t count = 0; ///< finite samples
    std::uint32_t nonFinite = 0;
    std::uint32_t segment = 0; ///< a line is never joined across segments
};

struct SeriesQuery
{
    double from = 0;
    double to = 0;
    int columns = 1; ///< device pixels of the plot's width
    bool withSuperseded = false; ///< also what a later segment has overtaken
};

struct SeriesColumns
{
    /// By segment, then x. The sample just before the window and the one just after it are there
    /// too (x < from, x > to), so that the line reaches both edges.
    std::vector<Column> columns;
    bool isExact = true; ///< one column per sample: there were no more samples than columns
    std::uint64_t samples = 0; ///< in the window, non-finite ones included
    std::uint64_t nonFinite = 0; ///< in the window
    double min = std::numeric_limits<double>::infinity(); ///< in the window, finite values
    double max = -std::numeric_limits<double>::infinity();
    bool isTruncated = false; ///< so many restarts that the oldest segments were left out
};

class SeriesSnapshot;

/// One metric: raw columns x, wall time, value, and a pyramid of factor 16 over aligned blocks
/// (ui.md section 4.5). A step that goes back starts a new segment (a restart); all samples stay.
/// THREAD: append() on one thread, snapshots on any, without locks.
class Series
{
public:
    explicit Series(std::string name, std::string xName = "step");
    ~Series();
    Series(const Series&) = delete;
    Series& operator=(const Series&) = delete;

    [[nodiscard]] const std::string& name() const noexcept { return m_name; }
    [[nodiscard]] const std::string& xName() const noexcept { return m_xName; } ///< "row": no key
    [[nodiscard]] std::size_t size() const noexcept
    {
        return m_size.load(std::memory_order_acquire);
    }
    void append(const XValue& x, double value, std::int64_t wallUs = 0);

private:
    friend class SeriesSnapshot;
    static constexpr std::size_t kLevels = 7;
    void completeNodes(std::size_t size);

    const std::string m_name;
    const std::string m_xName;
    ChunkedArray<double> m_x;
    ChunkedArray<double> m_values;
    // Rare columns exist from the first sample that needs them.
    std::atomic<ChunkedArray<std::int64_t>*> m_wall { nullptr };
    std::atomic<ChunkedArray<std::int64_t>*> m_exact { nullptr };
    ChunkedArray<std::size_t> m_segments; ///< index of the first sample; segment 0 starts at 0
    std::atomic<std::size_t> m_segmentCount { 1 };
    std::array<std::atomic<ChunkedArray<Aggregate>*>, kLevels> m_levels {};
    XValue m_lastX;
    std::atomic<std::size_t> m_size { 0 };
};

/// An immutable view of a series as it was when the view was taken. Cheap to copy; keeps the
/// series alive. THREAD: any.
class SeriesSnapshot
{
public:
    SeriesSnapshot() = default;
    explicit SeriesSnapshot(std::shared_ptr<const Series> series);

    [[nodiscard]] bool isNull() const noexcept { return !m_series; }
    [[nodiscard]] const Series* series() const noexcept { return m_series.get(); }
    [[nodiscard]] std::size_t size() const noexcept { return m_size; }
    [[nodiscard]] double x(std::size_t index) const noexcept { return m_series->m_x.at(index); }
    [[nodiscard]] double value(std::size_t index) const noexcept
    {
        return m_series->m_values.at(index);
    }
    [[nodiscard]] XValue exactX(std::size_t index) const noexcept;
    [[nodiscard]] std::int64_t wallUs(std::size_t index) const noexcept;
    [[nodiscard]] Sample sample(std::size_t index) const noexcept;
    [[nodiscard]] std::optional<Sample> latest() const;

    [[nodiscard]] std::size_t segmentCount() const noexcept { return m_segments; }
    [[nodiscard]] std::size_t segmentBegin(std::size_t segment) const noexcept;
    [[nodiscard]] std::size_t segmentEnd(std::size_t segment) const noexcept;
    /// End of the part of a segment that no later segment has overtaken.
    [[nodiscard]] std::size_t visibleEnd(std::size_t segment) const;

    /// Samples of the visible curve: those that no later segment has overtaken.
    [[nodiscard]] std::size_t visibleSize() const;

    /// Aggregate of the samples [begin, end) in O(log n).
    [[nodiscard]] Aggregate aggregate(std::size_t begin, std::size_t end) const noexcept;
    /// O(columns x log n); exact samples when no more of them than columns are in the window.
    [[nodiscard]] SeriesColumns query(const SeriesQuery& query) const;
    /// The sample at x, or the nearest before it on the visible curve.
    [[nodiscard]] std::optional<Sample> at(double x) const;
    /// Smallest and largest x; nullopt when empty.
    [[nodiscard]] std::optional<std::pair<double, double>> xRange() const;

private:
    [[nodiscard]] std::size_t lowerBound(std::size_t begin, std::size_t end, double x) const;
    [[nodiscard]] std::size_t upperBound(std::size_t begin, std::size_t end, double x) const;
    struct Range
    {
        std::size_t begin;
        std::size_t end;
        std::uint32_t segment;
    };
    [[nodiscard]] std::vector<Range> ranges(bool withSuperseded) const;
    [[nodiscard]] Column columnOf(std::size_t begin, std::size_t end, std::uint32_t segment) const;

    std::shared_ptr<const Series> m_series;
    std::size_t m_size = 0;
    std::size_t m_segments = 0;
};

} // namespace desk
