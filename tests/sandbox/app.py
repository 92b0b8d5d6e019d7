"""Putting the sandbox together."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask

from tests.sandbox import controls
from tests.sandbox.alibaba import Alibaba
from tests.sandbox.aliexpress import AliExpress
from tests.sandbox.calls import Calls
from tests.sandbox.deliveries import Deliveries
from tests.sandbox.faults import Faults
from tests.sandbox.journal import Journal
from tests.sandbox.kora import Kora
from tests.sandbox.mail import MailSink
from tests.sandbox.mtn import Mtn
from tests.sandbox.open_platform import Shelf
from tests.sandbox.openai import Openai
from tests.sandbox.orange import Orange
from tests.sandbox.payfast import Payfast
from tests.sandbox.paygate import PayGate
from tests.sandbox.rates import SOURCES, Rates
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
    shelf = Shelf(journal)
    for gateway in (
        Kora(world),
        Mtn(world),
        Orange(world),
        PayGate(world),
        Payfast(world),
        AliExpress(world, shelf, settings.aliexpress_api_key, settings.aliexpress_api_secret),
        Alibaba(world, shelf, settings.alibaba_api_key, settings.alibaba_api_secret),
    ):
        world.gateways[gateway.name] = gateway
    world.others = ("smtp", *SOURCES, Openai.name)
    mail = MailSink(settings, journal, faults)
    app = Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_blueprint(controls.blueprint(world, mail))
    app.register_blueprint(controls.supplier_controls(shelf))
    app.register_blueprint(Rates(world).blueprint())
    for provider in world.gateways.values():
        app.register_blueprint(provider.blueprint())
    app.register_blueprint(Openai(world).blueprint())
    return Sandbox(app=app, world=world, mail=mail)
