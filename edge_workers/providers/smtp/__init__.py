"""E-mail over SMTP."""

from edge_workers.providers.smtp.mail import SmtpMail

__all__ = ["SmtpMail"]
