// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/local/serving/replica_loader.h"

#include "services/delta/engine.h"
#include "services/local/objects/files.h"

namespace desk::local {

namespace fs = std::filesystem;

namespace {

    Error canceledLoad()
    {
        return Error { Error::Code::Canceled, "the load was superseded or the backend is stopping",
            {}, {}, {} };
    }

    /// base XOR delta; every tensor's checksum is compared with the one the delta carries.
    Result<fs::path> applyDelta(const LoadOrder& order, const fs::path& download,
        const std::function<void(const char*)>& enter, const JobControl& control)
    {
        enter("applying");
        auto engine = openDeltaEngine(DevicePolicy::CpuOnly);
        if (!engine)
            return engine.error();
        ApplyJob apply;
        apply.base = order.current;
        apply.deltas = { download };
        apply.output = order.work / "new";
        if (auto report = (*engine)->apply(apply, control); !report)
            return report.error();
        enter("verifying");
        VerifyJob verify;
        verify.base = order.current;
        verify.deltas = { download };
        verify.target = apply.output;
        auto report = (*engine)->verify(verify, control);
        if (!report)
            return report.error();
        if (report->verdict != Verdict::Exact)
            return Error { Error::Code::Malformed,
                "the weights after the delta do not match its checksums",
                "the replica serves what it served", "load a full snapshot", {} };
        return apply.output;
    }

    Result<LoadedWeights> loadInto(const LoadOrder& order,
        const std::function<void(const char*)>& enter, const std::function<bool()>& isCanceled)
    {
        enter("downloading");
        if (auto status = makeFolder(order.work); !status)
            return status.error();
        const auto download = order.work / "download";
        if (auto status = copyFolder(order.source, download, isCanceled); !status)
            return status.error();
        JobControl control;
        control.isCanceled = isCanceled;
        fs::path finished = download;
        if (order.isDelta) {
            auto applied = applyDelta(order, download, enter, control);
            if (!applied)
                return applied.error();
            finished = *applied;
        } else if (!order.adapterBase) {
            enter("verifying");
            auto engine = openDeltaEngine(DevicePolicy::CpuOnly);
            if (!engine)
                return engine.error();
            auto report = (*engine)->inspect({ download, false }, control);
            if (!report)
                return report.error();
            if (!report->problems.empty())
                return Error { Error::Code::Malformed, report->problems.front().message,
                    "the replica serves what it served", "save and load a new snapshot", {} };
        }
        if (order.failsOnPurpose)
            return Error { Error::Code::Backend, "this load fails by an injected fault",
                "the replica serves what it served", "load again", {} };
        if (isCanceled())
            return canceledLoad();
        if (order.adapterBase)
            enter("applying");
        auto model = order.adapterBase ? InferenceModel::withAdapter(order.adapterBase, finished)
                                       : InferenceModel::open(finished);
        if (!model)
            return model.error();
        if (auto status = publishFolder(finished, order.target); !status)
            return status.error();
        return LoadedWeights { std::move(*model), order.target };
    }

} // namespace

bool isAdapterFolder(const fs::path& folder)
{
    return pathExists(folder / "adapter_config.json");
}

Result<LoadedWeights> loadReplica(const LoadOrder& order,
    const std::function<void(const char* stage)>& enter, const std::function<bool()>& isCanceled)
{
    removeTree(order.work);
    auto loaded = loadInto(order, enter, isCanceled);
    removeTree(order.work);
    return loaded;
}

} // namespace desk::local
