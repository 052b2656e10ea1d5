// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// A store over a temporary folder with a clock that the test sets, and a router called without a
// network.

#include "services/local/objects/object_store.h"
#include "services/local/server/log.h"
#include "services/local/server/router.h"
#include "tests/local/temp_folder.h"
#include "tests/support/check.h"

#include <chrono>
#include <future>
#include <memory>
#include <string>

namespace desk::check {

class SetClock final : public desk::Clock
{
public:
    desk::Time now() const override { return m_now; }
    void advance(std::chrono::seconds seconds) { m_now += seconds; }

private:
    desk::Time m_now { std::chrono::seconds(1'795'000'000) }; // 2026-11-18T11:06:40Z
};

struct StoreFolder
{
    StoreFolder()
    {
        desk::local::setLogLevel(desk::local::LogLevel::Error);
        reopen();
    }
    void reopen()
    {
        store.reset();
        auto opened = desk::local::ObjectStore::open(folder.path(), "local", clock);
        if (!opened)
            fail(__FILE__, __LINE__, opened.error().message);
        store = std::move(*opened);
    }
    void addJob(const std::string& id, int loraRank = 0)
    {
        desk::local::JobRow row;
        row.id = id;
        row.job.state = desk::JobState::Running;
        row.job.baseModel = "accounts/local/models/tiny";
        row.job.loraRank = loraRank;
        row.job.created = clock.now();
        CHECK(store->addJob(row).has_value());
    }
    void addRun(const std::string& id, int loraRank = 0)
    {
        desk::local::RunRow row;
        row.id = id;
        row.session = id.substr(0, id.find(':'));
        row.job = desk::local::ObjectStore::jobOfRun(id);
        row.baseModel = "accounts/local/models/tiny";
        row.loraRank = loraRank;
        if (!store->job(row.job))
            addJob(row.job, loraRank);
        CHECK(store->putRun(row).has_value());
    }
    desk::local::CheckpointRow save(const std::string& job, const std::string& id,
        desk::CheckpointType type, const std::string& run = {})
    {
        using desk::CheckpointType;
        using desk::local::CheckpointSpace;
        desk::local::CheckpointRow row;
        row.job = job;
        row.id = id;
        row.run = run;
        row.baseModel = "accounts/local/models/tiny";
        row.record.type = type;
        row.record.isPromotable =
            type == CheckpointType::InferenceBase || type == CheckpointType::InferenceLora;
        row.space = type == CheckpointType::Training || type == CheckpointType::TrainingLora
            ? CheckpointSpace::State
            : CheckpointSpace::Sampler;
        row.record.created = clock.now();
        row.record.sizeBytes = 7;
        row.folder = store->freshFolder("jobs/" + job + "/x/" + id);
        writeBytes(store->absolute(row.folder) / "model.safetensors", "weights");
        return row;
    }
    TempFolder folder;
    SetClock clock;
    std::unique_ptr<desk::local::ObjectStore> store;
};

/// One request to a router, answered within ten seconds.
inline desk::local::HttpResponse callRouter(const desk::local::Router& router,
    const std::string& method, const std::string& target, const std::string& body = {},
    std::vector<desk::local::HttpHeader> headers = { { "Host", "127.0.0.1:1" } })
{
    desk::local::HttpRequest request;
    request.method = method;
    request.body = body;
    request.headers = std::move(headers);
    CHECK(desk::local::splitTarget(target, request));
    auto answered = std::make_shared<std::promise<desk::local::HttpResponse>>();
    auto answer = answered->get_future();
    router.route(std::move(request),
        desk::local::makeResponder([answered](desk::local::HttpResponse response, bool) {
            answered->set_value(std::move(response));
        }));
    if (answer.wait_for(std::chrono::seconds(10)) != std::future_status::ready)
        fail(__FILE__, __LINE__, method + " " + target + " was not answered");
    return answer.get();
}

inline std::string headerOf(const desk::local::HttpResponse& response, const std::string& name)
{
    for (const auto& header : response.headers)
        if (header.name == name)
            return header.value;
    return {};
}

} // namespace desk::check
