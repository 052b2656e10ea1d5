// SPDX-License-Identifier: GPL-3.0-or-later
#include "services/codecs/rehearsal_report.h"

#include "services/codecs/json_read.h"

namespace desk {

std::string encodeRehearsalReport(const RehearsalReport& report, bool isClean)
{
    Json findings = Json::array();
    for (const auto& finding : report.findings)
        findings.push_back(
            { { "id", finding.id }, { "severity", finding.isMistake ? "mistake" : "note" },
                { "what", finding.what }, { "fix", finding.fix } });
    Json standIns = Json::array();
    for (const auto& standIn : report.record.standIns)
        standIns.push_back({ { "name", standIn.name }, { "vocab_size", standIn.vocabSize },
            { "parameters", standIn.parameters }, { "vocabulary_from", standIn.vocabularyFrom },
            { "sentence", standInSentence(standIn) } });
    Json out;
    out["command"] = report.command;
    out["exit_code"] = report.exitCode;
    out["seconds"] = report.seconds;
    out["url"] = report.url;
    out["run_dir"] = report.runDir;
    out["clean"] = isClean;
    out["stand_ins"] = std::move(standIns);
    out["findings"] = std::move(findings);
    out["would_have_cost"] = { { "trainer_seconds", report.cost.trainerSeconds },
        { "replica_seconds", report.cost.replicaSeconds } };
    out["rehearsal"] = Json::parse(encodeRehearsal(report.record));
    return toText(out);
}

} // namespace desk
