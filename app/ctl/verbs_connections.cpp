// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/ctl.h"
#include "app/ctl/text_table.h"
#include "app/ctl/verbs.h"
#include "services/codecs/cli_codec.h"

#include <QUrl>

namespace desk {
namespace {

    Connection localEntry()
    {
        Connection local;
        local.name = "local";
        local.isLocal = true;
        local.safetyLevel = SafetyLevel::Free;
        return local;
    }

    Status checkUrl(const std::string& text)
    {
        const QUrl url(QString::fromStdString(text), QUrl::StrictMode);
        const bool isWeb = url.scheme() == QStringLiteral("https")
            || (url.scheme() == QStringLiteral("http") && isLoopback(url));
        if (!url.isValid() || !isWeb || url.host().isEmpty() || !url.userInfo().isEmpty())
            return Error { Error::Code::Usage, "`" + text + "` is no URL of a control plane",
                "nothing was stored", "give https://host; plain http works on this machine only",
                {} };
        return done();
    }

} // namespace

void listConnections(Ctl& ctl)
{
    std::vector<Connection> all { localEntry() };
    for (const Connection& connection : ctl.settings().values().connections)
        if (connection.name != "local")
            all.push_back(connection);
    const std::string& last = ctl.settings().values().lastConnection;
    std::vector<std::string> items;
    TextTable table({ "NAME", "URL", "ACCOUNT", "" });
    for (const Connection& connection : all) {
        const bool isLast = connection.name == last;
        items.push_back(encodeCliConnection(connection, isLast));
        table.add({ connection.name, connection.isLocal ? "this machine" : connection.url,
            connection.account, isLast ? "last used" : "" });
    }
    ctl.succeed(encodeCliList(ctl.clock().now(), {}, items), table.text("no connections"));
}

void addConnection(Ctl& ctl)
{
    Connection connection;
    connection.name = ctl.options().names[0];
    connection.url = ctl.options().names[1];
    while (connection.url.ends_with('/'))
        connection.url.pop_back();
    if (connection.name == "local" || connection.name.find('/') != std::string::npos)
        return ctl.fail({ Error::Code::Usage, "a connection cannot be called " + connection.name,
            "nothing was stored", "choose a name without '/', other than local", {} });
    if (const Status checked = checkUrl(connection.url); !checked)
        return ctl.fail(checked.error());
    ctl.settings().putConnection(connection);
    const auto finish = [&ctl, connection] {
        ctl.succeed(encodeCliConnection(connection, false), "added " + connection.name + "\n");
    };
    QByteArray key = keyFromEnvironment();
    if (!ctl.options().keyFile.empty()) {
        const auto file = readKeyFile(QString::fromStdString(ctl.options().keyFile));
        if (!file)
            return ctl.fail(file.error());
        if (file->isReadableByOthers)
            ctl.warn("the key file can be read by other users");
        key = file->key;
    }
    if (key.isEmpty())
        return finish();
    ctl.then(ctl.keys().store(QString::fromStdString(connection.name), key, true),
        [&ctl, finish](KeyPlace place) {
            if (place != KeyPlace::Keyring)
                ctl.warn("no keyring could be used, so the key was not kept; give it with "
                         "--key-file or FIREWORKS_API_KEY each time");
            finish();
        });
}

void removeConnection(Ctl& ctl)
{
    const std::string name = ctl.options().names[0];
    const auto known = ctl.settings().connection(name);
    if (!known || !ctl.settings().removeConnection(name))
        return ctl.fail({ Error::Code::NotFound, "there is no connection " + name,
            "nothing was removed", "see `connections list`", {} });
    // Without a keyring there is no key to remove either.
    onFinished(ctl.keys().remove(QString::fromStdString(name)), &ctl, [&ctl, known](const Status&) {
        ctl.succeed(encodeCliConnection(*known, false), "removed " + known->name + "\n");
    });
}

void testConnection(Ctl& ctl)
{
    ctl.withConnection([&ctl] {
        const Connection& connection = ctl.connection();
        ctl.succeed(encodeCliConnection(connection, true),
            connection.name + " answers: account " + connection.account + "\n");
    });
}

} // namespace desk
