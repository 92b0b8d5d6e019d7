"""Settings of the edge and the workers: the environment, read once, checked, frozen.

`.env.example` lists every name. A provider whose secret is missing is disabled, never defaulted.
"""

from ipaddress import ip_network
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _check_base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an absolute http or https URL")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must carry no query, fragment or credentials")
    return value.rstrip("/")


BaseUrl = Annotated[str, AfterValidator(_check_base_url)]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


class Settings(BaseSettings):
    """One frozen object built in `create_app` and at a worker's start.

    Field names are the environment's names in lower case. Secrets never show in a repr, a log or
    a validation error.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    # Where things are.
    port: int = Field(default=3000, ge=1, le=65535)
    public_url: BaseUrl
    """Where gateways and browsers reach the edge from outside."""
    frontend_url: BaseUrl
    """Where a browser is sent after it paid."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose scripts may call the edge: exact scheme://host[:port], comma separated."""
    trusted_proxy_hops: int = Field(default=0, ge=0, le=5)
    """Reverse proxies of ours before the edge; 0 takes the socket's own address."""
    log_level: LogLevel = "INFO"
    swagger_ui_dir: str = "node_modules/swagger-ui-dist"

    # Database.
    database_url: SecretStr
    """libpq URL of the login role mallgram_service."""
    database_session_url: SecretStr | None = None
    """The same without a transaction pooler in between (LISTEN); default is database_url."""
    database_pool_size: int = Field(default=8, ge=1, le=100)
    redis_url: SecretStr | None = None

    # Supabase.
    supabase_url: BaseUrl
    supabase_anon_key: SecretStr
    supabase_service_role_key: SecretStr | None = None
    """Used by storage uploads of the sync; it serves no request."""
    supabase_jwt_secret: SecretStr | None = None
    """HS256 secret of Supabase Auth's tokens, where the project has one."""
    supabase_jwks_url: BaseUrl | None = None
    """Where Supabase Auth publishes its signing keys, where the project has some."""

    # Payments.
    payment_timeout_seconds: float = Field(default=10.0, gt=0, le=30)
    """How long a gateway may take to answer; beyond it the outcome is unknown."""
    payment_calls_at_once: int = Field(default=5, ge=1, le=100)
    """How many threads of one edge process may wait for one gateway at once; less than a third."""
    kora_pay_secret_key: SecretStr | None = None
    kora_pay_base_url: BaseUrl = "https://api.korapay.com"
    kora_pay_bank_charges: bool = False
    """Take ZAR EFT through Kora's pay-with-bank charge instead of its hosted page."""
    kora_pay_bank_charges_in_cents: bool = False
    """Whether that charge wants cents; the documentation is of two minds."""
    mtn_api_user: str | None = None
    """UUID of the API user at MTN; collections and disbursements may each have one of their own."""
    mtn_api_key: SecretStr | None = None
    """The secret that belongs to the API user."""
    mtn_collection_key: SecretStr | None = None
    """Subscription key of the collection product."""
    mtn_disbursement_key: SecretStr | None = None
    """Subscription key of the disbursement product: without it MTN pays nobody out."""
    mtn_disbursement_api_user: str | None = None
    """Of disbursements, where they have another API user than collections."""
    mtn_disbursement_api_key: SecretStr | None = None
    mtn_base_url: BaseUrl = "https://proxy.momoapi.mtn.com"
    mtn_target_environment: str = "mtncameroon"
    mtn_currency: str = "XAF"
    """Of the account. In MTN's test environment `sandbox` it is EUR and stands for any other."""
    mtn_refunds: bool = False
    """Whether MTN's refund product may be used; it is not known to be offered in Cameroon."""
    orange_client_id: str | None = None
    orange_api_key: SecretStr | None = None
    """The secret that belongs to the client id."""
    orange_merchant_key: SecretStr | None = None
    """Of the merchant's subscription: good in one environment alone, test or country."""
    orange_token_url: BaseUrl = "https://api.orange.com/oauth/v3/token"  # noqa: S105  # an address
    orange_base_url: BaseUrl = "https://api.orange.com/orange-money-webpay/cm/v1"
    orange_currency: Literal["XAF", "OUV"] = "XAF"
    """OUV is the play money of Orange's test environment and stands for francs."""
    paygate_id: str | None = None
    paygate_key: SecretStr | None = None
    """The account's encryption key: PayGate's only secret."""
    paygate_base_url: BaseUrl = "https://secure.paygate.co.za/payweb3"
    """One address for test and live; the account decides."""
    paygate_vault: bool = False
    """Whether PayVault is enabled for the account, so that payers may have their card kept."""
    paygate_eft_detail: str = ""
    """PAY_METHOD_DETAIL of bank transfers, where only one kind shall be offered (SID)."""
    paygate_approved_codes: Annotated[tuple[str, ...], NoDecode] = ("990017",)
    """Result codes that, with the status approved, mean paid; one list of them has 900017."""
    paygate_query_checksum: bool = True
    """Whether a checksum in a status answer must fit; its rule is not documented."""
    payfast_merchant_id: str | None = None
    payfast_merchant_key: SecretStr | None = None
    """Goes through the payer's browser: it identifies and proves nothing."""
    payfast_passphrase: SecretStr | None = None
    """PayFast's only real secret; letters, digits and _ . - alone, or PayFast is unusable."""
    payfast_base_url: BaseUrl = "https://www.payfast.co.za"
    payfast_api_base_url: BaseUrl = "https://api.payfast.co.za"
    payfast_testing: bool = False
    """Whether the API is asked for the test account's data; then the base URL is the test one."""
    payfast_source_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Hosts whose addresses PayFast's notices may come from; without these and networks, none."""
    payfast_source_networks: Annotated[tuple[str, ...], NoDecode] = ()
    """Networks (CIDR) and addresses that PayFast's notices may come from."""
    payfast_refunds: bool = False
    """Whether PayFast has enabled refunds by its API for the account."""
    payfast_refunds_in_cents: bool = True
    """The unit of amounts in those calls: cents in the documentation, rand in some programs."""
    payfast_tokens: bool = False
    """Whether tokenisation is enabled for the account, so that payers may have their card kept."""

    # Mail.
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_starttls: bool = True
    smtp_ca_file: str | None = None
    from_email: str | None = None

    # Suppliers, exchange rates and AI.
    alibaba_api_key: SecretStr | None = None
    """The app key of Alibaba.com's open platform."""
    alibaba_api_secret: SecretStr | None = None
    alibaba_base_url: BaseUrl = "https://openapi-api.alibaba.com"
    alibaba_consent_url: BaseUrl = "https://openapi-auth.alibaba.com/oauth/authorize"
    """Where a person lets the shop act for the buyer's account."""
    aliexpress_api_key: SecretStr | None = None
    """The app key of AliExpress' open platform."""
    aliexpress_api_secret: SecretStr | None = None
    aliexpress_base_url: BaseUrl = "https://api-sg.aliexpress.com"
    supplier_calls_per_second: float = Field(default=1.0, gt=0, le=100_000)
    """Of all processes together, to each supplier platform; more leads to a ban over there."""
    supplier_timeout_seconds: float = Field(default=15.0, gt=0, le=60)
    supplier_picture_hosts: Annotated[tuple[str, ...], NoDecode] = (
        "alicdn.com",
        "aliexpress-media.com",
    )
    """Hosts, with those below them, whose pictures are copied; comma separated."""
    open_exchange_rates_app_id: SecretStr | None = None
    """Without it the free sources are asked alone."""
    open_exchange_rates_base_url: BaseUrl = "https://openexchangerates.org"
    frankfurter_base_url: BaseUrl = "https://api.frankfurter.dev"
    ecb_base_url: BaseUrl = "https://www.ecb.europa.eu"
    rate_timeout_seconds: float = Field(default=10.0, gt=0, le=30)
    """How long a source of exchange rates may take to answer."""
    openai_api_key: SecretStr | None = None
    openai_base_url: BaseUrl = "https://api.openai.com/v1"
    embeddings_model: str | None = None
    """What turns texts into vectors for search, `text-embedding-3-small` say; None: words alone."""

    @field_validator(
        "cors_origins",
        "paygate_approved_codes",
        "payfast_source_hosts",
        "payfast_source_networks",
        "supplier_picture_hosts",
        mode="before",
    )
    @classmethod
    def _split_list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("payfast_source_networks")
    @classmethod
    def _check_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network, strict=False)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(_check_base_url(origin))
            if parts.path or origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError("each origin is scheme://host[:port] and nothing more")
        return value

    @property
    def session_url(self) -> str:
        """Libpq URL for a connection that keeps its session, as LISTEN needs."""
        return (self.database_session_url or self.database_url).get_secret_value()


def load_settings() -> Settings:
    """Settings from the environment.

    Raises pydantic's ValidationError naming what is missing or malformed, without any value.
    """
    return Settings()  # type: ignore[call-arg]  # filled from the environment
