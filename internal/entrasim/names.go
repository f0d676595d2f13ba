package entrasim

import (
	"slices"
	"strings"
	"sync"
)

// The word lists from which a tenant is made. They are ours; no list of real people was used.

var givenNames = strings.Fields(`Aaliyah Abebe Adaeze Adrian Agnieszka Ahmed Aiko Aisha Alejandro Alice Amara Amir Ana
	Anders Andrei Anjali Anna Antonio Aoife Arash Arjun Astrid Ayesha Beatriz Bela Benjamin Bilal Bo Camille Carlos
	Catarina Chen Chidi Chloe Claire Dagny Daichi Daniel Dario David Deepa Diego Dina Dmitri Ebony Eduardo Eileen Eleni
	Elif Elena Emeka Emil Emma Erik Esther Eva Farah Fatima Felix Femi Fiona Florian Francesca Gabriel Georgia Giulia
	Grace Gustavo Habib Hanna Haruto Hassan Helena Henrik Hugo Ibrahim Idris Ines Ingrid Irina Isabel Ivan Jack Jakub
	Jamal Jana Javier Jelena Jin Joao Johanna Jonas Josephine Juan Julia Kaito Karim Katarzyna Keiko Kofi Kwame Lara
	Lars Laura Leila Leon Liam Lina Linh Lucia Luka Mads Magdalena Mai Malik Mara Marcus Maria Mariam Marta Mateo
	Matilda Mei Mehmet Michael Miguel Mina Minh Mira Mohammed Monika Nadia Naomi Nasrin Natalia Ngozi Nikhil Nina Noah
	Nora Oksana Olga Oliver Olivia Omar Oskar Owen Paolo Pavel Pedro Petra Pilar Pooja Priya Rafael Rahul Rania Ravi
	Rebecca Renee Rosa Ruth Saad Sakura Salma Samuel Sanjay Sara Sasha Selma Sean Simone Sipho Sofia Soren Stefan
	Suresh Svetlana Tamar Tariq Tatiana Tendai Thandi Thomas Tomas Tuan Ulla Uma Valentina Vera Viktor Wanjiru Wei
	Wiktoria Xavier Yara Yasmin Yusuf Zainab Zara Zeynep Zoe Zofia Zoltan Zuri José Zoë Jürgen Søren Łukasz Chloé
	Noémie Åsa Märta Renée Siân Nuño`)

var surnames = strings.Fields(`Abara Abdi Achterberg Adeyemi Aguilar Ahmadi Akintola Albrecht Almeida Andersson Antonov
	Arslan Asante Ashworth Bakker Banerjee Baptiste Barros Bauer Becker Bellini Berg Bianchi Bjork Boateng Bondar
	Brennan Brooks Calderon Campos Carvalho Castellano Cele Chaudhry Chavez Cohen Colombo Costa Craig Csaba Dahl Dang
	Delgado Demir Desai Diallo Dimitrov Dlamini Doherty Dubois Dvorak Eriksen Espinosa Fashola Ferrari Fischer
	Flanagan Fonseca Fournier Friedman Fujita Gallo Garcia Gebre Georgiou Ghosh Gomes Greene Gupta Haddad Hagen Haile
	Hansen Hashimoto Hassan Hayes Heikkinen Herrera Hoang Hoffmann Horvat Hussain Ibarra Ito Ivanova Iyer Jacobs Jain
	Janssen Jensen Jimenez Johansson Joshi Kamau Kang Kapoor Kaya Keller Khan Kim Kimura Klein Kone Kovac Kowalski
	Kumar Laine Lambert Larsen Laurent Le Lehtonen Leroy Lewandowski Lim Lindqvist Lombardi Lopez Lund Mahlangu Malik
	Marchetti Marin Martins Mazur Mbeki Mendes Mensah Meyer Mikkelsen Mishra Moreau Moreno Morris Mukherjee Mwangi
	Nakamura Naidoo Ndiaye Nel Nguyen Nikolaidis Nilsson Njoroge Novak Nowak Nwosu Obi Oduya Okafor Oliveira Olsen
	Omondi Ortega Osei Oyelaran Papadakis Park Patel Pereira Petrov Pham Phiri Popescu Qureshi Rahman Ramos Rao
	Rasmussen Reyes Ricci Rivera Romano Rosen Rossi Ruiz Sahin Saito Salazar Santos Sato Schmidt Schneider Sharma
	Shah Silva Singh Sithole Soto Sousa Stein Suzuki Svensson Szabo Tadesse Takahashi Tan Tanaka Thapa Torres Tran
	Traore Usman Vaidya Valdez Vargas Vasquez Virtanen Vogel Volkov Wagner Walsh Wang Warsame Weber Wekesa Wojcik Wong
	Yamada Yang Yildiz Young Zapata Zhang Zhou Zielinski Zulu Müller Gómez Núñez Strömberg Østergaard Kučera Gruß`)

var departments = []string{
	"Engineering", "Sales", "Finance", "People", "Operations", "Manufacturing", "Legal", "Marketing",
	"Customer Support", "Research", "IT", "Facilities",
}

var jobTitles = map[string][]string{
	"Engineering":      {"Software Engineer", "Senior Engineer", "Test Engineer", "Firmware Engineer", "Engineering Manager"},
	"Sales":            {"Account Manager", "Sales Engineer", "Regional Lead", "Inside Sales"},
	"Finance":          {"Accountant", "Controller", "Payroll Specialist", "Treasury Analyst"},
	"People":           {"Recruiter", "People Partner", "Learning Specialist"},
	"Operations":       {"Planner", "Logistics Coordinator", "Buyer", "Warehouse Lead"},
	"Manufacturing":    {"Technician", "Line Lead", "Quality Inspector", "Machinist"},
	"Legal":            {"Counsel", "Paralegal", "Privacy Officer"},
	"Marketing":        {"Content Writer", "Designer", "Campaign Manager"},
	"Customer Support": {"Support Specialist", "Support Lead", "Onboarding Specialist"},
	"Research":         {"Researcher", "Lab Technician", "Principal Scientist"},
	"IT":               {"Systems Administrator", "Service Desk Analyst", "Network Engineer"},
	"Facilities":       {"Site Coordinator", "Security Guard", "Receptionist"},
}

// office is a site, with the country code that Entra keeps as usageLocation and the part of the firm that it is.
type office struct{ name, city, country, code, company string }

var offices = []office{
	{"Leeds", "Leeds", "United Kingdom", "GB", "Larkfield Instruments Ltd"},
	{"Rotterdam", "Rotterdam", "Netherlands", "NL", "Larkfield Instruments B.V."},
	{"Gothenburg", "Gothenburg", "Sweden", "SE", "Larkfield Instruments AB"},
	{"Pune", "Pune", "India", "IN", "Larkfield Instruments India Pvt Ltd"},
	{"Nairobi", "Nairobi", "Kenya", "KE", "Larkfield Instruments East Africa Ltd"},
	{"Porto", "Porto", "Portugal", "PT", "Larkfield Instruments Lda"},
	{"Denver", "Denver", "United States", "US", "Larkfield Instruments Inc."},
	{"Osaka", "Osaka", "Japan", "JP", "Larkfield Instruments K.K."},
}

var asciiFold = strings.NewReplacer("é", "e", "ë", "e", "è", "e", "ü", "ue", "ö", "oe", "ø", "oe", "Ø", "oe", "å", "a",
	"Å", "a", "ä", "ae", "Ł", "l", "ł", "l", "â", "a", "ñ", "n", "ó", "o", "ú", "u", "č", "c", "ß", "ss", "’", "", "'", "",
	" ", "")

// mailWord writes a name as it stands in a mail address.
func mailWord(name string) string {
	if word, found := mailWords()[name]; found {
		return word
	}
	return strings.ToLower(asciiFold.Replace(name))
}

// mailWords holds the words of the lists, which a tenant uses over and over.
var mailWords = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for _, name := range slices.Concat(givenNames, surnames) {
		out[name] = strings.ToLower(asciiFold.Replace(name))
	}
	return out
})
