// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/codecs/rehearsal_codec.h"
#include "services/core/result.h"
#include "services/local/objects/object_store.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace desk::local {

/// The vocabulary of a well-known family by a model's name; nullopt when it is not known.
[[nodiscard]] std::optional<std::uint64_t> vocabularyOfFamily(std::string_view modelName);

/// Makes and keeps stand-ins. They are made only while a rehearsal allows them, are listed as base
/// models of their own, and say what they are wherever they are seen. THREAD: any.
class StandIns
{
public:
    explicit StandIns(ObjectStore& store);
    StandIns(const StandIns&) = delete;
    StandIns& operator=(const StandIns&) = delete;

    /// Lists what earlier rehearsals left in the data folder; returns the ids of their rows.
    [[nodiscard]] Result<std::vector<std::string>> restore();

    /// While true, make() answers; else it refuses.
    void allow(bool isAllowed);
    /// Wins over everything else for a model that has no stand-in yet.
    void wish(const std::string& name, std::uint64_t vocabSize);
    /// A folder of the hub's cache (`models--org--name/snapshots/…`) to take tokenizers and
    /// vocabularies from; empty: none.
    void setHubCache(std::filesystem::path folder);

    [[nodiscard]] std::optional<StandIn> find(std::string_view name) const;
    [[nodiscard]] std::vector<StandIn> all() const;
    /// The row of the stand-in of that name, made now if there is none. NotFound while no rehearsal
    /// runs; Usage for a name that cannot be a model's.
    [[nodiscard]] Result<ModelRow> make(const std::string& name);

private:
    [[nodiscard]] Result<StandIn> build(const std::string& name); // needs m_making
    [[nodiscard]] Status offer(const StandIn& standIn);
    [[nodiscard]] std::filesystem::path cachedSnapshot(const std::string& name) const;

    ObjectStore& m_store;
    std::mutex m_making; // one at a time, so that two requests get one model
    mutable std::mutex m_mutex; // guards what follows
    std::map<std::string, StandIn, std::less<>> m_standIns; // by name
    std::map<std::string, std::uint64_t> m_wishes;
    std::filesystem::path m_hubCache;
    bool m_isAllowed = false;
};

} // namespace desk::local
