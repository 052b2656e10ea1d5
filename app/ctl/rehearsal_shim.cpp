// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/rehearsal_shim.h"

#include <QFile>
#include <QProcessEnvironment>

using namespace Qt::StringLiterals;

namespace desk {
namespace {

    // Fireworks' low-level managers read no variable for their address, so the default argument has
    // to be led elsewhere when an object is made.
    constexpr const char* kSiteCustomize =
        R"PY(# Made by `trainerdesk-ctl rehearse`; gone when it ends.
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import sys

URL = os.environ.get("TRAINERDESK_REHEARSAL_URL", "")
HOSTED = ("https://api.fireworks.ai", "https://tinker.thinkingmachines.dev/services/tinker-prod")
PACKAGES = ("fireworks.training", "tinker")
ADDRESSES = ("base_url", "inference_url", "hotload_api_url", "trainer_gateway_url")


def led(value):
    if isinstance(value, str):
        for hosted in HOSTED:
            if value == hosted or value.startswith(hosted + "/"):
                return URL + value[len(hosted):]
    return value


def wrap(cls):
    plain = cls.__dict__["__init__"]
    try:
        signature = inspect.signature(plain)
    except (TypeError, ValueError):
        return
    named = [name for name in ADDRESSES if name in signature.parameters]
    loose = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    if not named and not loose:
        return

    @functools.wraps(plain)
    def init(*args, **kwargs):
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return plain(*args, **kwargs)
        if named:
            bound.apply_defaults()
        for name in named:
            bound.arguments[name] = led(bound.arguments[name])
        for kind in signature.parameters.values():
            if kind.kind is kind.VAR_KEYWORD:
                extra = bound.arguments.get(kind.name) or {}
                for name in ADDRESSES:
                    if name in extra:
                        extra[name] = led(extra[name])
        return plain(*bound.args, **bound.kwargs)

    cls.__init__ = init


class Loader(importlib.abc.Loader):
    def __init__(self, inner):
        self.inner = inner

    def create_module(self, spec):
        return self.inner.create_module(spec)

    def exec_module(self, module):
        self.inner.exec_module(module)
        for value in list(vars(module).values()):
            if (inspect.isclass(value) and value.__module__ == module.__name__
                    and "__init__" in value.__dict__):
                wrap(value)

    def __getattr__(self, name):
        return getattr(self.inner, name)


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if not any(name == p or name.startswith(p + ".") for p in PACKAGES):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Loader(spec.loader)
        return spec


if URL:
    sys.meta_path.insert(0, Finder())

# The start-up module that this one stands before.
_here = os.path.dirname(os.path.abspath(__file__))
_next = importlib.machinery.PathFinder.find_spec(
    "sitecustomize", [p for p in sys.path if os.path.abspath(p or ".") != _here])
if _next is not None and _next.loader is not None:
    _next.loader.exec_module(importlib.util.module_from_spec(_next))
)PY";

} // namespace

QProcessEnvironment rehearsalEnvironment(const RehearsalPlace& place)
{
    auto environment = QProcessEnvironment::systemEnvironment();
    const auto set = [&](const char* name, const QString& value) {
        environment.insert(QString::fromLatin1(name), value);
    };
    for (const char* name : { "FIREWORKS_CREDENTIAL_CMD", "TINKER_CREDENTIAL_CMD",
             "TINKER_PROJECT_ID", "FIREWORKS_API_EXTRA_HEADERS", "HF_TOKEN",
             "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE" })
        environment.remove(QString::fromLatin1(name));
    set("TRAINERDESK_REHEARSAL_URL", place.url);
    set("FIREWORKS_API_KEY", place.key);
    set("FIREWORKS_BASE_URL", place.url);
    set("FIREWORKS_TRAINER_GATEWAY_URL", place.url);
    set("TINKER_API_KEY", u"tml-"_s + place.key);
    set("TINKER_BASE_URL", place.url);
    set("HF_ENDPOINT", QString(place.url + u"/hf"_s));
    set("HF_HUB_CACHE", place.hubCache);
    set("HF_HUB_DISABLE_TELEMETRY", u"1"_s);
    set("COOKBOOK_METRICS_FILE", place.metricsFile);
    set("PYTHONUNBUFFERED", u"1"_s);
    const auto path = environment.value(u"PYTHONPATH"_s);
    set("PYTHONPATH", path.isEmpty() ? place.shimDir : QString(place.shimDir + u':' + path));
    for (const char* name : { "NO_PROXY", "no_proxy" }) {
        const auto hosts = environment.value(QString::fromLatin1(name));
        set(name, hosts.isEmpty() ? u"127.0.0.1,localhost"_s : QString(hosts + u",127.0.0.1"_s));
    }
    return environment;
}

Status writeRehearsalShim(const QString& dir)
{
    QFile file(dir + u"/sitecustomize.py"_s);
    const QByteArray text(kSiteCustomize);
    if (!file.open(QIODevice::WriteOnly) || file.write(text) != text.size() || !file.flush())
        return Error { Error::Code::Unreadable,
            "the start-up module of the rehearsal could not be written: "
                + file.errorString().toStdString(),
            "the command was not started", {}, {} };
    return done();
}

} // namespace desk
