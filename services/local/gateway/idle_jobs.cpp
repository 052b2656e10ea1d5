// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/gateway/idle_jobs.h"

#include "services/codecs/gateway_codec.h"

#include <algorithm>

namespace desk::local {

std::optional<std::chrono::microseconds> durationFrom(std::string_view text)
{
    if (text.size() < 2 || text.back() != 's')
        return std::nullopt;
    text.remove_suffix(1);
    const auto dot = text.find('.');
    const auto whole = text.substr(0, dot);
    const auto part = dot == std::string_view::npos ? std::string_view("0") : text.substr(dot + 1);
    const auto isDigits = [](std::string_view digits) {
        return !digits.empty() && std::all_of(digits.begin(), digits.end(), [](char c) {
            return c >= '0' && c <= '9';
        });
    };
    // Twelve digits are 30,000 years; nine after the point are the format's limit.
    if (!isDigits(whole) || !isDigits(part) || whole.size() > 12 || part.size() > 9)
        return std::nullopt;
    std::int64_t micros = 0;
    for (const char c : whole)
        micros = micros * 10 + (c - '0');
    for (std::size_t i = 0; i < 6; ++i)
        micros = micros * 10 + (i < part.size() ? part[i] - '0' : 0);
    return std::chrono::microseconds(micros);
}

IdleJobs::IdleJobs(ObjectStore& store, Ended ended)
    : m_store(store)
    , m_ended(std::move(ended))
    , m_started(store.now())
{
}

void IdleJobs::note(const HttpRequest& request)
{
    const auto& path = request.segments;
    const auto found = std::find(path.begin(), path.end(), "rlorTrainerJobs");
    if (path.empty() || path.front() == "v1" || path.end() - found < 4 || path.back() == "healthz")
        return;
    noteUse(*(found + 2));
}

void IdleJobs::noteUse(const std::string& job)
{
    const std::scoped_lock lock(m_mutex);
    constexpr std::size_t kMaxUsed = 10'000; // names that clients made up do not pile up
    if (m_used.size() < kMaxUsed || m_used.contains(job))
        m_used[job] = m_store.now();
}

void IdleJobs::expire()
{
    const auto rows = m_store.jobs();
    if (!rows)
        return;
    const auto now = m_store.now();
    for (const auto& row : *rows) {
        const auto timeout = durationFrom(jobInactivityTimeout(row.job));
        if (!timeout || row.job.state != JobState::Running)
            continue;
        auto used = std::max(m_started, row.job.created.value_or(m_started));
        {
            const std::scoped_lock lock(m_mutex);
            if (const auto found = m_used.find(row.id); found != m_used.end())
                used = std::max(used, found->second);
        }
        if (now - used < *timeout)
            continue;
        const auto why = "ended after " + jobInactivityTimeout(row.job) + " without use";
        if (m_store.setJobState(row.id, JobState::Completed, why))
            m_ended(row.id, why);
    }
}

} // namespace desk::local
