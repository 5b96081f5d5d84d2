"""Spanish of the log-in and of the page of keys and users."""

from __future__ import annotations

WORDS: dict[str, str | tuple[str, str]] = {
    "Log in": "Iniciar sesión",
    "The name or the password is wrong.": "El nombre o la contraseña no es correcto.",
    "Too many log-ins failed. Try again in {n} seconds.": (
        "Demasiados intentos fallidos. Inténtelo de nuevo en {n} segundo.",
        "Demasiados intentos fallidos. Inténtelo de nuevo en {n} segundos.",
    ),
    "Name": "Nombre",
    "Password": "Contraseña",
    "Access": "Acceso",
    "Who may see and change what: keys of programs, and people who log in.":
        "Quién puede ver y cambiar qué: claves de programas y personas que inician sesión.",
    "API keys": "Claves de API",
    "Prefix": "Prefijo",
    "Scope": "Alcance",
    "Account": "Cuenta",
    "State": "Estado",
    "Created": "Creación",
    "Expires": "Caducidad",
    "Last used": "Último uso",
    "valid": "válida",
    "expired": "caducada",
    "revoked": "revocada",
    "read": "lectura",
    "operate": "operación",
    "admin": "administración",
    "viewer": "observador",
    "operator": "operador",
    "Users": "Usuarios",
    "Role": "Rol",
    "Last log-in": "Último inicio de sesión",
    "There is no key yet.": "Todavía no hay ninguna clave.",
    "There is no user yet.": "Todavía no hay ningún usuario.",
    "this session is over; log in again": "esta sesión ha terminado; inicie sesión de nuevo",
    "the token of this page is missing or old; load the page again":
        "falta el código de esta página o es antiguo; vuelva a cargarla",
    "this was asked by a page of another site, so it was not done":
        "lo pidió una página de otro sitio, así que no se hizo",
    "this concerns the whole installation; a key of one account cannot ask it":
        "esto concierne a toda la instalación; una clave de una sola cuenta no puede pedirlo",
    "this needs the scope {scope}; yours is {own}": "esto requiere el alcance {scope}; el suyo es {own}",
    "there is no user and no key yet: open the link that was printed where this was started, or make one "
    "(ringback users add NAME --role admin, ringback keys create NAME)":
        "todavía no hay usuarios ni claves: abra el enlace que se mostró donde se inició esto, o cree uno "
        "(ringback users add NOMBRE --role admin, ringback keys create NOMBRE)",
    "this link was used already, or never was one: start anew for another, or make a user or a key":
        "este enlace ya se usó o nunca lo fue: inicie de nuevo para tener otro, o cree un usuario o una clave",
    "access is open, so only localhost is served; make a user or a key first":
        "el acceso está abierto, así que solo se atiende a localhost; cree antes un usuario o una clave",
    "access is open, so no proxy is served; make a user or a key first":
        "el acceso está abierto, así que no se atiende a través de un proxy; cree antes un usuario o una clave",
    "too many requests are under way; try again in a moment":
        "hay demasiadas peticiones en curso; inténtelo de nuevo en un momento",
    "at most {n} requests a second; try again in {s} s":
        "como máximo {n} peticiones por segundo; inténtelo de nuevo en {s} s",
    "a request to this address has at most {size}": "una petición a esta dirección tiene como máximo {size}",
    "the body did not arrive in time": "los datos no llegaron a tiempo",
}
