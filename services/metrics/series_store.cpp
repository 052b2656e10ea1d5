// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/metrics/series_store.h"

namespace desk {

Series* SeriesStore::ensure(std::string_view name, std::string_view xName)
{
    const std::lock_guard lock(m_mutex);
    const auto found = m_series.find(name);
    if (found != m_series.end())
        return found->second.get();
    auto series = std::make_shared<Series>(std::string(name), std::string(xName));
    Series* const raw = series.get();
    m_series.emplace(std::string(name), std::move(series));
    m_names.emplace_back(name);
    m_revision.fetch_add(1, std::memory_order_release);
    return raw;
}

void SeriesStore::append(std::string_view name, const XValue& x, double value, std::int64_t wallUs)
{
    ensure(name)->append(x, value, wallUs);
}

void SeriesStore::clear()
{
    const std::lock_guard lock(m_mutex);
    m_series.clear();
    m_names.clear();
    m_revision.fetch_add(1, std::memory_order_release);
}

SeriesSnapshot SeriesStore::snapshot(std::string_view name) const
{
    std::shared_ptr<const Series> series;
    {
        const std::lock_guard lock(m_mutex);
        const auto found = m_series.find(name);
        if (found != m_series.end())
            series = found->second;
    }
    return SeriesSnapshot(std::move(series));
}

std::vector<std::string> SeriesStore::names() const
{
    const std::lock_guard lock(m_mutex);
    return m_names;
}

std::size_t SeriesStore::seriesCount() const
{
    const std::lock_guard lock(m_mutex);
    return m_names.size();
}

std::uint64_t SeriesStore::catalogRevision() const noexcept
{
    return m_revision.load(std::memory_order_acquire);
}

} // namespace desk
