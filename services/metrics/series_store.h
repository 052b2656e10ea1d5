// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/metrics/series.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace desk {

/// All series of one run. Samples are read without locks through snapshots; the mutex guards the
/// catalog only, for the length of a look-up.
/// THREAD: ensure(), append() and clear() on one thread, the rest on any.
class SeriesStore
{
public:
    SeriesStore() = default;
    SeriesStore(const SeriesStore&) = delete;
    SeriesStore& operator=(const SeriesStore&) = delete;

    /// The series of that name, created when it is new. The pointer stays valid until clear().
    Series* ensure(std::string_view name, std::string_view xName = "step");
    void append(std::string_view name, const XValue& x, double value, std::int64_t wallUs = 0);
    /// Forgets every series (the ledger was replaced); snapshots that were taken stay valid.
    void clear();

    /// Null when there is none.
    [[nodiscard]] SeriesSnapshot snapshot(std::string_view name) const;
    [[nodiscard]] std::vector<std::string> names() const; ///< in the order of their appearance
    [[nodiscard]] std::size_t seriesCount() const;
    /// Grows with every new series and every clear(); compare to know whether names() changed.
    [[nodiscard]] std::uint64_t catalogRevision() const noexcept;

private:
    struct Hash
    {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept
        {
            return std::hash<std::string_view> {}(text);
        }
    };
    mutable std::mutex m_mutex;
    std::unordered_map<std::string, std::shared_ptr<Series>, Hash, std::equal_to<>> m_series;
    std::vector<std::string> m_names;
    std::atomic<std::uint64_t> m_revision { 0 };
};

} // namespace desk
