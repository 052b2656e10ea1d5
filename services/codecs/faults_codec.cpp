// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/faults_codec.h"

#include <nlohmann/json.hpp>

namespace desk {

namespace {

    using FaultJson = nlohmann::json;

    Error badFault(const std::string& what)
    {
        return Error { Error::Code::Malformed, what, "no fault is played",
            "write a list like [{\"route\":\"POST */checkpoints/*:promote\",\"nth\":1,"
            "\"action\":\"drop-reply\"}]",
            {} };
    }

    Result<int> faultNumber(const FaultJson& value, const std::string& key, int low, int high)
    {
        if (!value.is_number_integer() || value.get<std::int64_t>() < low
            || value.get<std::int64_t>() > high)
            return badFault("'" + key + "' of a fault must be a whole number from "
                + std::to_string(low) + " to " + std::to_string(high));
        return value.get<int>();
    }

    std::optional<Fault::Action> faultAction(const std::string& word)
    {
        if (word == "drop-reply")
            return Fault::Action::DropReply;
        if (word == "delay")
            return Fault::Action::Delay;
        if (word == "status")
            return Fault::Action::AnswerStatus;
        if (word == "replica-error")
            return Fault::Action::ReplicaError;
        return std::nullopt;
    }

    Status readFaultFacts(const FaultJson& value, Fault& fault)
    {
        if (!value.is_object())
            return badFault("'metadata' of a fault must be an object");
        for (const auto& [key, fact] : value.items()) {
            if (!fact.is_string())
                return badFault("'" + key + "' in the metadata of a fault must be text");
            fault.metadata[key] = fact.get<std::string>();
        }
        return done();
    }

    Status readFaultKey(const std::string& key, const FaultJson& value, Fault& fault)
    {
        const auto number = [&](int low, int high, auto assign) -> Status {
            auto read = faultNumber(value, key, low, high);
            if (!read)
                return read.error();
            assign(*read);
            return done();
        };
        if (key == "nth")
            return number(1, 1'000'000, [&](int n) { fault.nth = n; });
        if (key == "ms")
            return number(0, 3'600'000, [&](int n) { fault.milliseconds = n; });
        if (key == "status")
            return number(400, 599, [&](int n) { fault.status = n; });
        if (key == "retry_after")
            return number(0, 3600, [&](int n) { fault.retryAfter = n; });
        if (key == "replica")
            return number(1, 1024, [&](int n) { fault.replica = n; });
        if (key == "metadata")
            return readFaultFacts(value, fault);
        if (key != "route" && key != "action" && key != "message" && key != "reason"
            && key != "body")
            return badFault("a fault has no key '" + key + "'");
        if (!value.is_string())
            return badFault("'" + key + "' of a fault must be text");
        const auto text = value.get<std::string>();
        if (key == "message" || key == "reason") {
            (key == "message" ? fault.message : fault.reason) = text;
            return done();
        }
        if (key == "body") {
            fault.body = text;
            return done();
        }
        if (key == "action") {
            const auto action = faultAction(text);
            if (!action)
                return badFault("'" + text + "' is no action of a fault");
            fault.action = *action;
            return done();
        }
        const auto space = text.find(' ');
        if (space == std::string::npos || space == 0 || space + 1 == text.size())
            return badFault("the route '" + text + "' is not METHOD PATH");
        fault.method = text.substr(0, space);
        fault.path = text.substr(space + 1);
        return done();
    }

} // namespace

Result<std::vector<Fault>> decodeFaults(std::string_view text)
{
    if (text.size() > (1U << 20))
        return badFault("the list of faults is longer than 1 MiB");
    const auto list = FaultJson::parse(text, nullptr, false);
    if (!list.is_array() || list.size() > 1000)
        return badFault("the faults are not a JSON list of at most 1,000 entries");
    std::vector<Fault> faults;
    for (const auto& entry : list) {
        if (!entry.is_object())
            return badFault("an entry of the faults is not an object");
        Fault fault;
        for (const auto& [key, value] : entry.items())
            if (auto status = readFaultKey(key, value, fault); !status)
                return status.error();
        if (fault.path.empty() || !entry.contains("action"))
            return badFault("a fault needs 'route' and 'action'");
        faults.push_back(std::move(fault));
    }
    return faults;
}

} // namespace desk
