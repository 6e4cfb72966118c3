"""Texts with e-mail addresses, phone numbers and secrets, and harmless texts that look like them."""

# the body of keys, joined to their heads when used, so that this file holds no key
A = "a1B2c3D4e5F6g7H8i9J0"
PEM = "PRIVATE KEY-----"
# kind -> texts, with the sensitive parts between marks; the bodies of keys are invented
SENSITIVE = {
    "EMAIL": [
        "Write to «ann.lee+test@example.org» please.",
        "Is «o'brien@sub.example.co.uk» or <«bob@example.com»> right?",
        'My record is {"email":"«kim_9@mail.example.io»","n":3}',
        "mailto:«JO.SMITH@EXAMPLE.ORG».",
        "E-Mail: «müller@exämple.de»",
        "https://example.org/?user=«ann%40example.org»&page=2",
    ],
    "PHONE": [
        "Call «+1 415-555-2671» or «+44 20 7946 0958».",
        "tel:«+49-30-901820» is the desk",
        "my cell is «(415) 555-2671»",
        "reach me at «415-555-2671» after 5",
        "my phone number is «4155552671»",
        "WhatsApp «+919876543210»",
    ],
    "SECRET": [
        f"OPENAI_API_KEY=«sk-proj-{A}{A}» fails",
        f"the one that ends in 0: «sk-ant-api03-{A}{A}»",
        f"use «ghp_{(A + A)[:36]}» to push, or «github_pat_{A}_{A}{A}»",
        "id «AKIA" + "IOSFODNN7EXAMPLE»",
        "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»",
        f"slack: «xoxb-{'1' * 12}-{A}», gitlab: «glpat-{A}»",
        f"maps «AIza{(A + A)[:35]}», models «hf_{(A + A)[:34]}», stripe «sk_live_{A}»",
        "expired: «eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N»",
        f"here:\n«-----BEGIN RSA {PEM}\nMIIEpAIBAAKCAQEA\n-----END RSA {PEM}»\nok?",
        f"«-----BEGIN OPENSSH {PEM}\nb3BlbnNzaC1rZXktdjEAAAAA»\nis where it was cut",
        "postgres://app:«s3cr3tpw»@db.example.org:5432/x",
        'password = "«hunter2!»"',
        "my password is: «Tr0ub4dor&3»",
        f"curl -H 'Authorization: Bearer «{A}»' example.org",
        f"https://hooks.slack.com/services/«T00000000/B00000000/{A}»",
    ],
}
HARMLESS = [
    "Use @property and @staticmethod, then A @ B.T works.",
    "npm install @types/node@18.0.0 lodash@4.17.21, then root@localhost",
    "Order 1234567890 from 2024-01-15 10:30, 3.14159265358979",
    "192.168.100.200 and 10.0.19041.1234, at 1700000000",
    "ISBN 978-3-16-148410-0, pages 415-555, 1,234,567 people; 2025550123 / 7",
    "uuid 550e8400-e29b-41d4-a716-446655440000",
    "password: at least 8 characters; token: string; secret santa",
    "api_key = os.environ['API_KEY']; Client(api_key=\"YOUR_API_KEY\", token=<token>)",
    "The task-based sk-learn pipeline risk-assessment-for-companies-2024",
    "def f(password: str, secret_key: bytes) -> None: tokens = tokenizer.encode(text)",
    "What does -----BEGIN CERTIFICATE----- mean? git clone git@github.com:org/repo.git",
    "max_tokens=4096, temperature: 0.7, key=lambda x: x[1]",
]
