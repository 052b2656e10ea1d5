// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/desk/connection_hub.h"

#include "services/gateway/account_store.h"
#include "services/gateway/deployment_manager.h"
#include "services/gateway/fireworks_client.h"
#include "services/gateway/trainer_job_manager.h"
#include "services/http/http_client.h"
#include "services/on_finished.h"
#include "services/secrets/key_store.h"
#include "services/store/settings.h"

namespace desk {

struct ConnectionHub::Clients
{
    Clients(const Connection& wanted, KeyStore& keys)
        : connection(wanted)
        , http(wanted,
              [&keys, name = QString::fromStdString(wanted.name)] { return keys.known(name); })
        , client(http)
        , jobs(client)
        , deployments(client)
    {
    }
    Connection connection;
    HttpClient http;
    FireworksClient client;
    TrainerJobManager jobs;
    DeploymentManager deployments;
};

ConnectionHub::ConnectionHub(
    const Clock& clock, KeyStore& keys, Settings& settings, QObject* parent)
    : QObject(parent)
    , m_clock(clock)
    , m_keys(keys)
    , m_settings(settings)
{
}

ConnectionHub::~ConnectionHub() = default;

std::shared_ptr<ConnectionHub::Clients> ConnectionHub::clientsOf(const Connection& connection)
{
    auto& clients = m_clients[connection.name];
    if (!clients || !(clients->connection == connection))
        clients = std::make_shared<Clients>(connection, m_keys);
    return clients;
}

std::shared_ptr<AccountStore> ConnectionHub::openAccount(const Connection& connection)
{
    const auto clients = clientsOf(connection);
    auto store = std::make_unique<AccountStore>(clients->client, clients->deployments, m_clock);
    // The store refers to the clients, so they go after it.
    return { store.release(), [clients](AccountStore* owned) { delete owned; } };
}

Result<ConnectionServices> ConnectionHub::connectTo(const std::string& name)
{
    std::shared_ptr<Clients> clients;
    if (const auto found = m_clients.find(name); found != m_clients.end()) {
        clients = found->second;
    } else if (const auto connection = m_settings.connection(name)) {
        // The key may still lie in the keyring; it is there by the time the first answer is.
        onFinished(
            m_keys.load(QString::fromStdString(name)), this, [](const Result<StoredKey>&) {});
        clients = clientsOf(*connection);
    } else {
        return Error { Error::Code::NotFound, "there is no connection named " + name,
            "nothing was sent", "choose or add the connection first", {} };
    }
    ConnectionServices services;
    services.connection = clients->connection;
    services.client = { clients, &clients->client };
    services.jobs = { clients, &clients->jobs };
    services.deployments = { clients, &clients->deployments };
    return services;
}

} // namespace desk
