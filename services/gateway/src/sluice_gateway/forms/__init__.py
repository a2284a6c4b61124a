"""Multipart forms as a stream: fields as text, and one file that is never held whole.

Sources: RFC 7578 (multipart/form-data), RFC 2046 section 5.1 (boundaries).
"""

from sluice_gateway.forms.form import Form
from sluice_gateway.forms.rules import FilePart, FormRules

__all__ = ["FilePart", "Form", "FormRules"]
