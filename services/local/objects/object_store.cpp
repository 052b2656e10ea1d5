// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/objects/object_store.h"

#include "services/core/resource_name.h"
#include "services/local/objects/files.h"
#include "services/local/objects/schema.h"
#include "services/local/server/log.h"

#include <algorithm>
#include <map>
#include <set>

namespace desk::local {

namespace fs = std::filesystem;

bool isSafeId(std::string_view id) noexcept
{
    if (id.empty() || id.size() > 120 || id.front() == '.' || id.front() == '-')
        return false;
    return std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
            || c == '.' || c == '_' || c == '-';
    });
}

ObjectStore::ObjectStore(std::unique_ptr<Database> database, fs::path dataFolder,
    std::string account, const Clock& clock)
    : m_database(std::move(database))
    , m_objects(dataFolder / "objects")
    , m_account(std::move(account))
    , m_clock(clock)
{
}

ObjectStore::~ObjectStore() = default;

Result<std::unique_ptr<ObjectStore>> ObjectStore::open(
    const fs::path& dataFolder, const std::string& account, const Clock& clock)
{
    if (auto status = makeFolder(dataFolder / "objects"); !status)
        return status.error();
    auto database = Database::open(dataFolder / "store.sqlite");
    if (!database)
        return database.error();
    std::unique_ptr<ObjectStore> store(
        new ObjectStore(std::move(*database), dataFolder, account, clock));
    if (auto status = store->createSchema(); !status)
        return status.error();
    return store;
}

Status ObjectStore::createSchema()
{
    const std::scoped_lock lock(m_mutex);
    if (auto status = m_database->script(kStoreSchema); !status)
        return status;
    std::map<std::string, std::string> facts;
    auto read = m_database->select("SELECT key, value FROM meta", {},
        [&](const Database::Row& row) { facts[row.text(0)] = row.text(1); });
    if (!read)
        return read;
    const auto version = facts["schema"];
    if (version.empty()) {
        auto written =
            m_database->run("INSERT INTO meta VALUES('schema','2'),('account',?1)", { m_account });
        return written ? done() : Status(written.error());
    }
    // Rows name models and jobs in full, so the account of a store cannot change.
    if (!facts["account"].empty() && facts["account"] != m_account)
        return Error { Error::Code::Refused,
            "the store belongs to the account " + facts["account"] + ", not to " + m_account,
            "nothing was changed", "give --account " + facts["account"], {} };
    if (version == "1")
        return migrate();
    if (version != "2")
        return Error { Error::Code::Refused,
            "the store was written by a newer program (schema " + version + ")",
            "nothing was changed", "start that program, or choose another --data folder", {} };
    return done();
}

Status ObjectStore::migrate()
{
    auto status = m_database->transaction([&]() -> Status {
        if (auto altered = m_database->script(kStoreMigration2); !altered)
            return altered;
        auto written = m_database->run("UPDATE meta SET value='2' WHERE key='schema'");
        return written ? done() : Status(written.error());
    });
    if (status)
        logLine(LogLevel::Info, "the store was brought from schema 1 to 2");
    return status;
}

fs::path ObjectStore::absolute(const std::string& folder) const
{
    const fs::path path(folder);
    return path.is_absolute() ? path : m_objects / path;
}

std::string ObjectStore::jobFolder(const std::string& job)
{
    return "jobs/" + job;
}

std::string ObjectStore::jobOfRun(const std::string& run)
{
    auto id = run;
    std::replace(id.begin(), id.end(), ':', '-');
    return id;
}

std::string ObjectStore::freshFolder(const std::string& wanted) const
{
    std::string folder = wanted;
    for (int n = 2; pathExists(absolute(folder)); ++n)
        folder = wanted + "~" + std::to_string(n);
    return folder;
}

std::string ObjectStore::fullWeightsFolder(
    const std::string& job, const std::string& identity) const
{
    return "full/" + job + "/" + identity;
}

std::vector<std::string> ObjectStore::referencedFolders() const
{
    std::vector<std::string> folders;
    const auto collect = [&](const char* sql) {
        auto status = m_database->select(
            sql, {}, [&](const Database::Row& row) { folders.push_back(row.text(0)); });
        return status.has_value();
    };
    const bool isComplete = collect("SELECT folder FROM checkpoints")
        && collect("SELECT folder FROM models") && collect("SELECT folder FROM replicas")
        && collect("SELECT target_folder FROM deployments")
        && collect("SELECT 'full/' || job || '/' || id FROM checkpoints "
                   "WHERE type='CHECKPOINT_TYPE_INFERENCE_ARC_V2'");
    if (!isComplete)
        folders.clear();
    return folders;
}

void ObjectStore::removeOrphans()
{
    const std::scoped_lock lock(m_mutex);
    const auto folders = referencedFolders();
    std::set<fs::path> known;
    std::set<fs::path> parents { m_objects };
    for (const auto& folder : folders) {
        if (folder.empty())
            continue;
        const auto path = absolute(folder);
        known.insert(path);
        for (auto parent = path.parent_path(); parent.string().size() >= m_objects.string().size();
             parent = parent.parent_path())
            parents.insert(parent);
    }
    if (known.empty() && !fs::is_empty(m_objects))
        logLine(LogLevel::Info, "no row names any weights");
    std::vector<fs::path> pending { m_objects };
    while (!pending.empty()) {
        const auto folder = pending.back();
        pending.pop_back();
        std::error_code error;
        std::vector<fs::path> entries;
        for (const auto& entry : fs::directory_iterator(folder, error))
            entries.push_back(entry.path());
        for (const auto& entry : entries) {
            if (known.contains(entry))
                continue;
            if (parents.contains(entry)) {
                pending.push_back(entry);
                continue;
            }
            logLine(LogLevel::Info, "removing the unfinished " + entry.string());
            removeTree(entry);
        }
    }
}

void ObjectStore::removeExpired()
{
    const auto now = m_clock.now();
    std::vector<std::string> folders;
    {
        const std::scoped_lock lock(m_mutex);
        const auto cutoff = sqlTime(now);
        const auto grave = sqlTime(now - std::chrono::hours(24 * 30));
        auto status = m_database->select(
            "SELECT folder, 'full/' || job || '/' || id FROM checkpoints WHERE expires <= ?1 "
            "OR job IN (SELECT id FROM jobs WHERE deleted <= ?2)",
            { cutoff, grave }, [&](const Database::Row& row) {
                folders.push_back(row.text(0));
                folders.push_back(row.text(1));
            });
        if (!status || folders.empty()) {
            if (status)
                status = m_database->transaction([&]() -> Status {
                    auto removed =
                        m_database->run("DELETE FROM jobs WHERE deleted <= ?1", { grave });
                    return removed ? done() : Status(removed.error());
                });
            return;
        }
        status = m_database->transaction([&]() -> Status {
            auto rows = m_database->run("DELETE FROM checkpoints WHERE expires <= ?1", { cutoff });
            auto jobs = m_database->run("DELETE FROM jobs WHERE deleted <= ?1", { grave });
            if (!rows || !jobs)
                return rows ? jobs.error() : rows.error();
            return done();
        });
        if (!status) {
            logLine(LogLevel::Warning, "removing expired saves failed: " + status.error().message);
            return;
        }
    }
    for (const auto& folder : folders)
        removeTree(absolute(folder));
    logLine(LogLevel::Info,
        "removed " + std::to_string(folders.size() / 2) + " expired saves with their files");
}

} // namespace desk::local
