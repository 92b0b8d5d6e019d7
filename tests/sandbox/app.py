"""Putting the sandbox together."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask

from tests.sandbox import controls
from tests.sandbox.calls import Calls
from tests.sandbox.deliveries import Deliveries
from tests.sandbox.faults import Faults
from tests.sandbox.journal import Journal
from tests.sandbox.kora import Kora
from tests.sandbox.mail import MailSink
from tests.sandbox.mtn import Mtn
from tests.sandbox.orange import Orange
from tests.sandbox.payfast import Payfast
from tests.sandbox.paygate import PayGate
from tests.sandbox.settings import Settings
from tests.sandbox.world import World


@dataclass(frozen=True)
class Sandbox:
    """The program's parts, built and not yet started."""

    app: Flask
    world: World
    mail: MailSink

    def start(self) -> None:
        """Listen for mail, send what is due, take up what an earlier run had begun."""
        self.mail.start()
        self.world.deliveries.start()
        for gateway in self.world.gateways.values():
            gateway.resume()

    def stop(self) -> None:
        """End it; the journal keeps the rest."""
        self.mail.stop()
        self.world.deliveries.stop()


def build(settings: Settings) -> Sandbox:
    """Read the journal and connect the parts."""
    journal = Journal(settings.state_dir)
    faults = Faults()
    world = World(
        settings=settings,
        journal=journal,
        faults=faults,
        calls=Calls(),
        deliveries=Deliveries(journal, faults),
    )
    for gateway in (Kora(world), Mtn(world), Orange(world), PayGate(world), Payfast(world)):
        world.gateways[gateway.name] = gateway
    mail = MailSink(settings, journal, faults)
    app = Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_blueprint(controls.blueprint(world, mail))
    for provider in world.gateways.values():
        app.register_blueprint(provider.blueprint())
    return Sandbox(app=app, world=world, mail=mail)
