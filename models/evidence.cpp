// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/evidence.h"

#include "models/format.h"

#include <QCoreApplication>

using namespace Qt::StringLiterals;

namespace desk {

namespace {

    QString evidenceTr(const char* text)
    {
        return QCoreApplication::translate("desk::Evidence", text);
    }

} // namespace

StatusKind statusOf(Evidence evidence) noexcept
{
    switch (evidence) {
    case Evidence::Failed:
        return StatusKind::Failed;
    case Evidence::Leaking:
    case Evidence::Orphaned:
    case Evidence::Silent:
        return StatusKind::Attention;
    case Evidence::Unknown:
        return StatusKind::Unknown;
    case Evidence::Training:
        return StatusKind::Running;
    case Evidence::Saving:
    case Evidence::Starting:
        return StatusKind::Busy;
    case Evidence::Waiting:
        return StatusKind::Waiting;
    case Evidence::Paused:
        return StatusKind::Paused;
    case Evidence::Finished:
        return StatusKind::Good;
    case Evidence::Cancelled:
        return StatusKind::Off;
    }
    return StatusKind::Unknown;
}

QString evidenceWord(Evidence evidence)
{
    switch (evidence) {
    case Evidence::Failed:
        return evidenceTr("failed");
    case Evidence::Leaking:
        return evidenceTr("leaking");
    case Evidence::Orphaned:
        return evidenceTr("orphaned");
    case Evidence::Silent:
        return evidenceTr("silent");
    case Evidence::Unknown:
        return evidenceTr("unknown");
    case Evidence::Training:
        return evidenceTr("training");
    case Evidence::Saving:
        return evidenceTr("saving");
    case Evidence::Starting:
        return evidenceTr("starting");
    case Evidence::Waiting:
        return evidenceTr("waiting");
    case Evidence::Paused:
        return evidenceTr("paused");
    case Evidence::Finished:
        return evidenceTr("finished");
    case Evidence::Cancelled:
        return evidenceTr("cancelled");
    }
    return {};
}

QString evidenceSentence(const JobRow& row, Time now)
{
    const QString since = format::age(row.lastProgress, now, 2);
    switch (row.evidence) {
    case Evidence::Silent:
        return evidenceTr("No new step for %1, longer than its steps usually take.").arg(since);
    case Evidence::Orphaned:
        return evidenceTr("The training script is gone, but the job still runs on the server.");
    case Evidence::Leaking:
        return evidenceTr(
            "The training script has been gone for %1, and the job still holds its machines.")
            .arg(since);
    case Evidence::Failed:
        return row.statusMessage.isEmpty()
            ? evidenceTr("The job failed; the server gives no reason.")
            : row.statusMessage;
    case Evidence::Unknown:
        return row.isOnServer
            ? evidenceTr("The server says it runs; no ledger on this machine shows its steps.")
            : evidenceTr("Nothing says whether this run still goes on.");
    case Evidence::Training:
    case Evidence::Saving:
    case Evidence::Starting:
    case Evidence::Waiting:
    case Evidence::Paused:
    case Evidence::Finished:
    case Evidence::Cancelled:
        break;
    }
    return {};
}

bool needsAttention(Evidence evidence) noexcept
{
    return evidence <= Evidence::Silent;
}

QString jobStateWord(JobState state, const QString& serverWord)
{
    QString word =
        state == JobState::Unrecognized ? serverWord : QString::fromLatin1(toString(state));
    if (word.startsWith(u"JOB_STATE_"))
        word.remove(0, 10);
    return word.toLower().replace(u'_', u' ');
}

StatusKind statusOfServerWord(const QString& word) noexcept
{
    const QString text = word.toLower();
    if (text.contains(u"error") || text.contains(u"fail"))
        return StatusKind::Failed;
    if (text == u"ready" || text == u"done" || text == u"completed" || text == u"idle")
        return StatusKind::Good;
    if (text.isEmpty() || text == u"unspecified")
        return StatusKind::None;
    if (text.contains(u"creat") || text.contains(u"pending") || text.contains(u"queue"))
        return StatusKind::Waiting;
    if (text.contains(u"delet"))
        return StatusKind::Off;
    return StatusKind::Busy;
}

} // namespace desk
