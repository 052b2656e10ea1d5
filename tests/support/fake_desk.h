// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "services/store/profile.h"
#include "tests/services/fake_plane.h"

#include <QCoreApplication>
#include <QDir>
#include <QFile>
#include <QTemporaryDir>

namespace desk::test {

/// A profile whose local backend is a scripted control plane in this process, and a stand-in for
/// trainerdesk-ctl that writes a run folder of the plane's job.
class FakeDesk
{
public:
    FakeDesk()
        : profile(profileAt(folder.filePath(QStringLiteral("profile"))))
    {
        static_cast<void>(ensureProfile(profile));
        const auto inner = plane.server.route;
        plane.server.route = [this, inner](const SeenRequest& request) {
            Answer answer;
            if (isKeyRefused) {
                answer.status = 401;
                return answer;
            }
            if (request.path() == "/v1/accounts") {
                answer.body = "{\"accounts\":[{\"name\":\"accounts/local\"}]}";
                return answer;
            }
            if (request.method == "GET" && request.path() == "/v1/accounts/local/rlorTrainerJobs") {
                const auto rows = isJobListed ? plane.jobs : std::vector<TrainerJob>();
                answer.body = QByteArray::fromStdString(
                    encodeJobs(Page<TrainerJob> { rows, "", std::nullopt }));
                return answer;
            }
            return inner(request);
        };
        write(profile.localDir + QStringLiteral("/key"), "k1\n");
        const QByteArray pid = QByteArray::number(QCoreApplication::applicationPid());
        write(profile.readyFile(),
            "{\"url\":\"" + plane.server.url().toUtf8() + "\",\"account\":\"local\",\"key_file\":\""
                + profile.localDir.toUtf8()
                + "/key\",\"base_model\":\"accounts/local/models/desk-tiny\",\"vocab_size\":259,"
                  "\"models\":[],\"pid\":"
                + pid + ",\"version\":\"1\"}");
        ctl = folder.filePath(QStringLiteral("trainerdesk-ctl"));
        write(ctl,
            "#!/bin/sh\nfor a in \"$@\"; do dir=\"$a\"; done\n"
            "echo '{\"job\":\"accounts/local/rlorTrainerJobs/job-1\",\"run_name\":\"sample\"}' "
            "> \"$dir/config.json\"\n"
            "for s in 1 2 3; do echo \"{\\\"step\\\":$s,\\\"train/loss\\\":$((5 - s)).5}\" >> "
            "\"$dir/metrics.jsonl\"; done\n"
            "echo \"{\\\"run_dir\\\":\\\"$dir\\\",\\\"job\\\":"
            "\\\"accounts/local/rlorTrainerJobs/job-1\\\",\\\"pid\\\":1,"
            "\\\"control_socket\\\":\\\"$dir/control.sock\\\"}\"\n");
        QFile::setPermissions(ctl, QFile::ReadOwner | QFile::WriteOwner | QFile::ExeOwner);
    }

    static void write(const QString& path, const QByteArray& text)
    {
        QFile file(path);
        if (file.open(QIODevice::WriteOnly))
            file.write(text);
    }

    QTemporaryDir folder;
    FakePlane plane;
    Profile profile;
    QString ctl;
    bool isJobListed = true;
    bool isKeyRefused = false;
};

} // namespace desk::test
