// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/server/fault_plan.h"

#include "services/codecs/error_codec.h"

#include <algorithm>
#include <utility>

namespace desk::local {

bool matchesGlob(std::string_view pattern, std::string_view text) noexcept
{
    std::size_t p = 0;
    std::size_t t = 0;
    std::size_t star = std::string_view::npos;
    std::size_t mark = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.size() && pattern[p] == text[t]) {
            ++p;
            ++t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*')
        ++p;
    return p == pattern.size();
}

namespace {

    std::string faultBody(const Fault& fault)
    {
        if (fault.body)
            return *fault.body;
        return encodeError(fault.status,
            fault.message.empty() ? "an injected fault" : fault.message,
            ErrorInfo { fault.reason, fault.metadata });
    }

} // namespace

FaultPlan::FaultPlan(std::vector<Fault> faults)
{
    for (auto& fault : faults)
        m_entries.push_back({ std::move(fault), 0 });
}

FaultEffect FaultPlan::next(std::string_view method, std::string_view path)
{
    FaultEffect effect;
    for (auto& entry : m_entries) {
        if (!matchesGlob(entry.fault.method, method) || !matchesGlob(entry.fault.path, path))
            continue;
        ++entry.seen;
        if (entry.fault.nth && *entry.fault.nth != entry.seen)
            continue;
        switch (entry.fault.action) {
        case Fault::Action::DropReply:
            effect.dropsReply = true;
            break;
        case Fault::Action::Delay:
            effect.delay += std::chrono::milliseconds(entry.fault.milliseconds);
            break;
        case Fault::Action::AnswerStatus:
            effect.status = entry.fault.status;
            effect.retryAfter = entry.fault.retryAfter;
            effect.body = faultBody(entry.fault);
            break;
        case Fault::Action::ReplicaError:
            effect.replica = std::max(1, entry.fault.replica);
            break;
        }
    }
    return effect;
}

} // namespace desk::local
